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
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError

from schemas.candidates_config import Candidates
from schemas.errors import ConfigError
from schemas.experiments import Experiments
from schemas.generation_config import Encoder, Generator, Tuning, Vocabulary
from schemas.ranking_config import Evaluation, Explanations, FinalList, Ranking, Requests
from schemas.source_config import FeedbackKind, Section, Sources


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
    feedback: dict[FeedbackKind, float] = Field(
        {"click": 1.0, "conversion": 1.0, "like": 1.0},
        description="Kinds of feedback that count as interactions, and their weight; not where the log has user, item "
        "and day already",
    )
    shuffle_partitions: int | None = Field(
        None, ge=1, description="spark.sql.shuffle.partitions; None: by the size of the input and the cores"
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
    requests: Requests = Requests()
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
    def explanation_tokens(self) -> int:
        """Tokens that the night may spend on explanations: none where it may spend none on profiles."""
        return self.explanations.nightly_token_budget if self.generator.nightly_token_budget else 0

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
