"""Settings of the models that read and write texts: generator, vocabularies, encoder, tuning."""

from typing import Literal

from pydantic import Field

from schemas.source_config import Section


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
    explanation_prompt: str = Field("explanation.v1", description="Version of the prompt for explanations")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Of the weights")
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
        description="packed: BERT models without padding, and sentence-transformers for others; fake: hashed bags of "
        "words, for tests only",
    )
    model: str = Field("all-MiniLM-L6-v2", description="Name, recorded with every vector")
    path: str = Field("${NIGHTREC_ASSETS}/all-minilm-l6-v2", description="Folder with safetensors and tokenizer")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Of the packed backend's products; auto: bfloat16 where the CPU multiplies it (AVX512-BF16, AMX)",
    )
    batch_size: int = Field(64, ge=1, description="Texts per batch of sentence-transformers")
    batch_tokens: int = Field(4_096, ge=1, description="Tokens multiplied at once by the packed backend")
    actors: int = Field(2, ge=1, description="Ray actors that each load the encoder")


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
