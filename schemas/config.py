"""The one configuration of a night: the only home of defaults.

A user writes a YAML file; Airflow Params override it; `freeze` validates both once and the result is
written beside the night's records. Every Spark and Ray task reads only that frozen file.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from schemas.errors import ConfigError
from schemas.experiments import Experiments
from schemas.source_config import Section, Sources

SOURCES = (
    "popularity",
    "ease",
    "text",
    "item_item",
    "transitions",
    "words",
    "ease_text",
    "ials",
    "trending",
    "newcomers",
    "new_items",
    "graph",
    "two_tower",
    "sequence",
    "sequence_text",
    "generative",
    "profiles",
    "stated",
)
"""All candidate sources. Which of them a night uses is configured."""


class Features(Section):
    """Spark feature preparation."""

    history_length: int = Field(200, ge=1, le=10_000, description="Items kept per user, most recent first")
    min_user_interactions: int = Field(
        1, ge=1, description="Users with interactions, but fewer, get no list; for those without any: serve_new_users"
    )
    serve_new_users: bool = Field(
        True, description="Serve users of `users` and `requests` who have no interaction yet as well"
    )
    max_users: int | None = Field(
        None,
        ge=1,
        description="Serve only the most recently active users (trial runs); new ones where these leave room",
    )
    document_characters: int = Field(1_500, ge=50, le=100_000, description="Item documents are cut here")
    shuffle_partitions: int | None = Field(
        None, ge=1, description="spark.sql.shuffle.partitions; None: by the size of the input and the cores"
    )


class Endpoint(Section):
    """An OpenAI-compatible endpoint, for `generator.backend: openai`."""

    url: str = Field("http://127.0.0.1:8000/v1", description="Base URL of the API")
    api_key_variable: str = Field("NIGHTREC_LLM_API_KEY", description="Environment variable that holds the key")
    concurrency: int = Field(16, ge=1, le=1_024, description="Requests under way at once")
    requests_per_minute: int | None = Field(None, ge=1, description="Limit of the account; None: no limit")
    tokens_per_minute: int | None = Field(None, ge=1, description="Limit of the account; None: no limit")
    timeout_seconds: float = Field(60, gt=0, description="Longest wait for one answer")
    attempts: int = Field(4, ge=1, le=20, description="Tries per request on 429, 5xx and time-outs, with backoff")
    price_per_million_input: float = Field(0, ge=0, description="Money per million prompt tokens")
    price_per_million_output: float = Field(0, ge=0, description="Money per million output tokens")


class Generator(Section):
    """The language model that writes profiles, and what a night may spend on it."""

    backend: Literal["transformers", "vllm", "openai", "fake"] = Field(
        "transformers", description="vllm needs a GPU; openai is any compatible endpoint; fake: canned text, for tests"
    )
    model: str = Field("SmolLM2-135M-Instruct", description="Name, recorded in every row; an endpoint's model name")
    path: str = Field("${NIGHTREC_ASSETS}/smollm2-135m-instruct", description="Folder with safetensors and tokenizer")
    adapter: str | None = Field(
        "champion", description="LoRA adapter: the promoted one of the weekly tuning if there is any, a folder, or null"
    )
    item_prompt: str = Field("item_profile.v2", description="Version of the item prompt: a file of ray_tasks/prompts")
    user_prompt: str = Field("user_profile.v2", description="Version of the user prompt")
    precision: Literal["float32", "bfloat16", "int8"] = Field("float32", description="Of the weights")
    endpoint: Endpoint = Endpoint()
    nightly_token_budget: int = Field(
        70_000, ge=0, le=10_000_000_000, description="Prompt and output tokens that a night may spend on profiles"
    )
    nightly_second_budget: int | None = Field(
        None, ge=0, description="Seconds that a night may spend on generation; None: tokens alone limit it"
    )
    item_share: float = Field(0.6, ge=0, le=1, description="Share of the budget for items; users get the rest")
    batch_size: int = Field(32, ge=1, le=1_024, description="Prompts decoded together")
    max_new_tokens: int = Field(128, ge=8, le=4_096, description="Longest answer")
    evidence_tokens: int = Field(160, ge=32, le=100_000, description="Longest evidence of one prompt")
    temperature: float = Field(0.7, gt=0, le=2, description="Of the second attempt; the first one is greedy")
    wording: Literal["closed", "free"] = Field(
        "closed",
        description="closed makes sentences of words that the evidence allows, for small models; free checks them",
    )
    reasoning: bool = Field(False, description="Let the model reason in a field before its answer; for large models")
    stale_share: float = Field(0.3, gt=0, le=1, description="A profile is stale when this share of its evidence is new")
    stale_days: int = Field(90, ge=1, description="A profile is stale at this age, if its evidence changed at all")
    actors: int = Field(2, ge=1, description="Ray actors that each load the model")
    item_kind: str = Field("item", max_length=30, description="What one item is, in a word, for prompts: movie, game")
    full_refresh: bool = Field(False, description="Forget earlier generations and pay for all of them again")


class Vocabulary(Section):
    """The closed sets of labels that profiles may use."""

    path: str | None = Field(
        None,
        description="YAML file of your own labels, relative to the configuration file: adds, renames and removes what "
        "the catalogue suggests",
    )
    themes: int = Field(60, ge=1, le=2_000, description="Most themes induced from the catalogue")
    moods: int = Field(24, ge=0, le=500, description="Most moods")
    aspects: int = Field(30, ge=0, le=500, description="Most aspects mined from reviews")
    min_items: int = Field(5, ge=1, description="Items (reviews for aspects) that must speak of a label")


class Encoder(Section):
    """The text encoder."""

    backend: Literal["packed", "sentence-transformers", "fake"] = Field(
        "packed",
        description="packed: BERT models on CPUs without padding, and sentence-transformers for others; fake: hashed "
        "bags of words, for tests only",
    )
    model: str = Field("all-MiniLM-L6-v2", description="Name, recorded with every vector")
    path: str = Field("${NIGHTREC_ASSETS}/all-minilm-l6-v2", description="Folder with safetensors and tokenizer")
    batch_size: int = Field(64, ge=1, description="Texts per batch of sentence-transformers")
    batch_tokens: int = Field(4_096, ge=1, description="Tokens multiplied at once by the packed backend")
    actors: int = Field(2, ge=1, description="Ray actors that each load the encoder")


class Candidates(Section):
    """Candidate sources; every grid is tuned by NDCG@10 on the validation window."""

    sources: tuple[
        Literal[
            "popularity",
            "ease",
            "text",
            "item_item",
            "transitions",
            "words",
            "ease_text",
            "ials",
            "trending",
            "newcomers",
            "new_items",
            "graph",
            "two_tower",
            "sequence",
            "sequence_text",
            "generative",
            "profiles",
            "stated",
        ],
        ...,
    ] = Field(
        ("popularity", "ease", "text", "item_item", "transitions", "newcomers", "new_items", "profiles", "stated"),
        description="Sources that propose; popularity is always among them, for users without a history",
    )
    per_source: int = Field(100, ge=10, le=2_000, description="Candidates that each source proposes per user")
    popularity_days: tuple[float, ...] = Field(
        (1, 3, 7, 14, 30, 60, 90, 180, 365, 1_000), min_length=1, description="Windows tried"
    )
    ease_l2: tuple[float, ...] = Field(
        (30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000),
        min_length=1,
        description="Tried for EASE",
    )
    item_item_neighbours: tuple[int, ...] = Field(
        (10, 20, 50, 100, 200, 500, 1_000, 2_000),
        min_length=1,
        description="Nearest items kept per item, values tried",
    )
    item_item_shrinkage: tuple[float, ...] = Field(
        (0, 10, 30, 100, 300, 1_000, 3_000),
        min_length=1,
        description="Added to the cosine's denominator",
    )
    transition_steps: tuple[int, ...] = Field(
        (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000),
        min_length=1,
        description="How far apart a transition may be, values tried",
    )
    ease_text_weight: tuple[float, ...] = Field(
        (0.1, 1, 10, 100, 1_000, 10_000),
        min_length=1,
        description="Users that two items with the same text count as having in common, values tried for ease_text",
    )
    ials_dimensions: int = Field(64, ge=1, le=1_024, description="Factors of ials")
    ials_l2: tuple[float, ...] = Field(
        (0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3), min_length=1, description="Tried for ials"
    )
    ials_unobserved: tuple[float, ...] = Field(
        (0.003, 0.01, 0.03, 0.1, 0.3), min_length=1, description="Weight of what did not happen, values tried for ials"
    )
    trending_days: tuple[float, ...] = Field(
        (1, 3, 7, 15, 30, 60, 120, 240, 480, 1_000),
        min_length=1,
        description="Half-life of an event in days, values tried for trending and newcomers",
    )
    newcomers_first: tuple[int, ...] = Field(
        (1, 3, 10, 30, 100, 300), min_length=1, description="Events that a user begins with, values tried for newcomers"
    )
    new_item_interactions: int = Field(5, ge=1, description="An item with fewer interactions is new")
    new_items_half_life: tuple[float, ...] = Field(
        (10,), min_length=1, description="Half-lives of history items tried for new_items"
    )
    graph_layers: tuple[int, ...] = Field(
        (1, 2, 4, 8, 16, 32, 64), min_length=1, description="Steps that texts spread over the graph, values tried"
    )
    two_tower_half_life: tuple[float, ...] = Field(
        (10,), min_length=1, description="Half-lives of history items tried for two_tower, each a training"
    )
    sequence_epochs: tuple[int, ...] = Field(
        (20,), min_length=1, description="Passes over the log, values tried for sequence models, each a training"
    )
    sequence_tokens: int = Field(
        8_000_000, ge=1_000, description="History items that a sequence model reads in training at most"
    )
    generative_collaborative: tuple[float, ...] = Field(
        (1.0,),
        min_length=1,
        description="Weight of who takes an item beside its text in semantic ids, values tried, each a training",
    )
    generative_tokens: int = Field(
        12_000_000, ge=1_000, description="Codes that `generative` reads in training at most"
    )
    stated_weight: tuple[float, ...] = Field(
        (1, 3, 10, 30),
        min_length=1,
        description="How much likeness to what a new user said counts against popularity, values tried for stated",
    )
    history_half_life: tuple[float, ...] = Field(
        (0, 1, 3, 10, 30, 100, 300), min_length=1, description="Half-life of a history item in positions; 0 is no decay"
    )
    tuning_users: int = Field(1_000, ge=10, description="Users of the validation window that sources are tuned on")
    max_core_items: int = Field(
        15_000,
        ge=10,
        description="EASE and item-item cover the items with most users; memory grows with the square. Where more "
        "items were taken, Spark's ALS fits factors and ials joins the sources",
    )
    block_size: int = Field(512, ge=1, description="Users scored at once")

    @property
    def used(self) -> tuple[str, ...]:
        """The sources that propose, in the order of SOURCES."""
        return tuple(source for source in SOURCES if source == "popularity" or source in self.sources)


class Rerank(Section):
    """A language model re-orders the lists of some users: off until `make bench-ranking` has shown that it helps."""

    method: Literal["off", "pointwise", "listwise"] = Field(
        "off", description="pointwise asks about each item alone, listwise about shuffled parts of the list"
    )
    share: float = Field(0.1, ge=0, le=1, description="Share of the users, the same ones every night")
    tokens: int = Field(
        100_000, ge=0, le=10_000_000_000, description="Prompt tokens that a night may read for it; then no user follows"
    )
    places: int = Field(10, ge=2, le=100, description="First places of a list that change: each costs tokens")
    weight: float = Field(0.2, ge=0, le=1, description="The model's say beside the ranker; `bench-ranking` tells one")
    in_context: int = Field(0, ge=0, le=20, description="Solved examples of other users that every prompt begins with")


class Ranking(Section):
    """The learned ranker and the published list."""

    top_k: int = Field(20, ge=1, le=500, description="Recommendations per user")
    trees: int = Field(300, ge=0, description="Most boosting rounds; cross-validation on the window picks fewer")
    training_users: int = Field(2_000, ge=10, description="Users of the validation window that the ranker learns from")
    negatives: int = Field(40, ge=1, description="Candidates not taken that each list teaches by, drawn per fold")
    leaves: int = Field(15, ge=2, description="Leaves per tree")
    learning_rate: float = Field(0.05, gt=0, le=1)
    feature_share: float = Field(0.5, gt=0, le=1, description="Share of the features that each tree may use")
    champion_days: int = Field(
        30, ge=0, description="A younger champion serves on unless tonight's ranker beats it; an older one must beat it"
    )
    arm: str = Field("default", description="Experiment arm written to every row")
    rerank: Rerank = Rerank()


class Rule(Section):
    """Items by the value of a field."""

    field: str = Field("item_id", description="item_id, categories, or a field of the items' texts, as brand")
    value: str = Field(description="The value that an item has in it")


class Limit(Section):
    """How many items of a list may share a value of a field."""

    field: str = Field("categories", description="categories, or a field of the items' texts, as brand")
    most: int = Field(ge=1)


class Pin(Section):
    """An item at a fixed place of every list whose user has not taken it."""

    item_id: str
    place: int = Field(1, ge=1, description="From 1")


class FinalList(Section):
    """What becomes of the ranker's order; by default a few new items are added at its end."""

    diversity: float = Field(0, ge=0, le=1, description="0: relevance alone; 1: unlikeness to the items above alone")
    calibration: float = Field(0, ge=0, le=1, description="How much the list's mix of categories follows the history's")
    pool: int = Field(100, ge=1, le=2_000, description="Best candidates of a user that the list is chosen from")
    explore: int = Field(2, ge=0, description="Last places of every list that go to new items, so that they are seen")
    exclude: tuple[Rule, ...] = Field((), description="Items never recommended: by id, category, brand, availability")
    caps: tuple[Limit, ...] = Field((), description="Most items of a list that share a category, a brand, ...")
    pin: tuple[Pin, ...] = Field((), description="Items at fixed places")

    @property
    def keeps_order(self) -> bool:
        """True if nothing but exclusion, exploration and pins changes the ranker's order."""
        return not (self.diversity or self.calibration or self.caps)


class Explanations(Section):
    """Template explanations."""

    max_evidence: int = Field(3, ge=1, le=10, description="History items named per recommendation")


class Evaluation(Section):
    """Offline evaluation by time: the last shares of all interactions are validation and test."""

    validation_share: float = Field(0.1, gt=0, lt=0.5)
    test_share: float = Field(0.1, gt=0, lt=0.5)
    min_rating: float | None = Field(None, description="A rating below this is no relevant target")


class Tuning(Section):
    """The weekly tuning of the generator with LoRA."""

    max_minutes: float = Field(
        15, gt=0, le=1_440, description="Longest training; reading and judging take as long again"
    )
    rank: int = Field(16, ge=1, le=256, description="Of the LoRA matrices, on attention and MLP")
    learning_rate: float = Field(5e-4, gt=0, le=0.1, description="Highest of the cosine schedule, after warm-up")
    epochs: int = Field(3, ge=1, le=100, description="Most passes over the pairs; validation loss may stop it sooner")
    batch_tokens: int = Field(768, ge=64, description="Tokens per step: memory grows with it")
    label_pairs: int = Field(800, ge=0, description="Most training pairs item -> labels")
    next_item_pairs: int = Field(800, ge=0, description="Most training pairs history -> next item, yes or no")
    profile_pairs: int = Field(300, ge=0, description="Most training pairs evidence -> profile, per kind")
    judged: int = Field(120, ge=10, description="Held-out pairs that each arm is judged on, per task and kind")
    folder: str | None = Field(
        None,
        description="Where tuned models are kept, seen by all workers; null: `tuned` beside the generator's folder",
    )


class RunConfig(Section):
    """Everything a night needs to know, frozen. `run_date` names the night; only events before it are seen."""

    run_id: str = Field("unset", description="Airflow run")
    run_date: date | None = Field(None, description="The night; default: the end of the data interval")
    lake: str = Field("${NIGHTREC_LAKE}", description="Folder or URI of the Delta tables")
    mlflow_tracking_uri: str = Field("${NIGHTREC_MLFLOW}", description="MLflow tracking store or server")
    seed: int = Field(20_241, description="Seed of everything random")
    recompute: bool = Field(
        False, description="Compute every task's rows, also where nothing that decides them has changed"
    )
    source: Sources
    features: Features = Features()
    vocabulary: Vocabulary = Vocabulary()
    generator: Generator = Generator()
    encoder: Encoder = Encoder()
    candidates: Candidates = Candidates()
    ranking: Ranking = Ranking()
    final_list: FinalList = FinalList()
    explanations: Explanations = Explanations()
    evaluation: Evaluation = Evaluation()
    tuning: Tuning = Tuning()
    experiments: Experiments = Experiments()

    @property
    def night(self) -> date:
        """The run date of a frozen configuration."""
        if self.run_date is None:
            raise ConfigError("run_date", ["not set: the configuration has not been frozen"])
        return self.run_date

    @property
    def as_of(self) -> datetime:
        """Midnight UTC at the start of the run date: events at or after it do not exist for the night."""
        return datetime(self.night.year, self.night.month, self.night.day, tzinfo=UTC)

    @property
    def config_hash(self) -> str:
        """SHA-256 of what decides a night's rows: equal for equal nights."""
        return hashlib.sha256(self.model_dump_json(exclude={"run_id", "recompute"}).encode()).hexdigest()


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a configuration file, fill in `${VARIABLES}`, make the paths of sources and vocabulary absolute.

    Raises ConfigError when the file is absent or is not a YAML mapping.
    """
    path = Path(path).expanduser().resolve()
    if not path.is_file():
        raise ConfigError(str(path), ["no such configuration file; see infra/configs/ for examples"])
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"not readable as YAML: {error}"]) from error
    if not isinstance(document, dict):
        raise ConfigError(str(path), [f"expected a mapping with 'source:' at the top, found {type(document).__name__}"])
    sources = document.get("source")
    entities = list(sources.values()) if isinstance(sources, dict) else []
    for section in [*entities, document.get("vocabulary")]:
        if isinstance(section, dict) and isinstance(section.get("path"), str):
            section["path"] = _absolute(_expand(section["path"], str(path)), path.parent)
    return document


def freeze(document: Mapping[str, Any], where: str = "configuration", **overrides: Any) -> RunConfig:
    """Validate a document with overrides (dotted keys as `ranking__top_k`, None is ignored) into a RunConfig.

    Raises ConfigError listing every problem at once, with the nearest valid name for unknown keys.
    """
    merged = {key: dict(value) if isinstance(value, dict) else value for key, value in document.items()}
    for key, value in overrides.items():
        section, _, name = key.partition("__")
        if value is None:
            continue
        if name:
            merged[section] = {**(merged.get(section) or {}), name: value}
        else:
            merged[section] = value
    try:
        config = RunConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(where, [_explain(item) for item in error.errors()]) from error
    if config.ranking.rerank.method != "off" and config.generator.backend == "openai":
        found = "an endpoint does not tell how likely its answers are; choose a backend with weights here, or `off`"
        raise ConfigError(where, [f"ranking.rerank.method: {config.ranking.rerank.method}, but {found}"])
    expanded = config.model_dump(mode="json")
    for section, name in (("", "lake"), ("", "mlflow_tracking_uri"), ("generator", "path"), ("encoder", "path")):
        home = expanded[section] if section else expanded
        home[name] = _expand(home[name], where)
    frozen = RunConfig.model_validate(expanded)
    if problems := _arm_problems(frozen):
        raise ConfigError(where, problems)
    return frozen


def with_changes(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """The configuration by which an arm of an experiment makes its lists.

    Raises ConfigError when the changes do not fit it.
    """
    return freeze({**config.model_dump(mode="json"), "experiments": {}}, "changes", **changes)


def _arm_problems(config: RunConfig) -> list[str]:
    """What is wrong with arms of experiments that are not over: a setting may have gone since the others ended."""
    problems = []
    for experiment in config.experiments.planned:
        if config.run_date and experiment.end <= config.run_date:
            continue
        for arm in experiment.arms:
            try:
                with_changes(config, arm.changes)
            except ConfigError as error:
                problems += [f"experiment {experiment.name}, arm {arm.name}: {found}" for found in error.problems]
    return problems


def _expand(text: str, where: str) -> str:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], match[2])
        if found is None:
            raise ConfigError(where, [f"environment variable {match[1]} is used but not set ({text!r})"])
        return found

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", value, text)


def _absolute(path: str, folder: Path) -> str:
    return path if "://" in path or path.startswith("/") else str(folder / Path(path).expanduser())


def _explain(error: Any) -> str:
    """One problem in words: where, what was expected, what was found, what to do."""
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = _fields_at(error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        return f"{place}: unknown key; {hint}"
    if error["type"] == "missing":
        return f"{place}: required, but missing"
    return f"{place}: {error['msg']}; found {error['input']!r}"


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the section at a location inside RunConfig."""
    section: Any = RunConfig
    for part in location:
        if not isinstance(part, str) or part not in section.model_fields:
            continue
        inner = section.model_fields[part].annotation
        options = [inner, *getattr(inner, "__args__", ())]
        section = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), section)
    return sorted(section.model_fields)
