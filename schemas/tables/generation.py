"""What tables of profiles share: where a row came from, what it rests on and cost, and how a failed attempt is kept."""

import pyarrow as pa

from schemas.table import Column, Expect, one_of

ORIGIN = (
    Column("source", pa.string(), "llm, or template where the model was not asked or its output was not accepted"),
    Column(
        "reason",
        pa.string(),
        "Why the template: over_budget, rejected, too_little_evidence, unserved; null for llm",
        nullable=True,
    ),
    Column("recipe_key", pa.string(), "SHA-256 of model, revision, prompt version and decoding parameters"),
    Column("generation_key", pa.string(), "SHA-256 of the recipe and the evidence that the profile was written from"),
    Column("model", pa.string(), "Generator name; null for a template", nullable=True),
    Column("model_revision", pa.string(), "SHA-256 of the weights; null for a template", nullable=True),
    Column("prompt_version", pa.string(), "Version of the prompt"),
    Column(
        "generated_on",
        pa.date32(),
        "Night that generated it (or tried to); null when no night has asked the model",
        nullable=True,
    ),
    Column("prompt_tokens", pa.int64(), "Tokens read when it was generated, all attempts"),
    Column("output_tokens", pa.int64(), "Tokens written when it was generated, all attempts"),
    Column("reasoning", pa.string(), "What the model reasoned before its answer, where it was let", nullable=True),
)

PROFILE_EXPECTATIONS = (
    one_of("source", "llm", "template"),
    one_of("reason", "over_budget", "rejected", "too_little_evidence", "unserved"),
)


def evidence_column(*, pii: bool = False) -> Column:
    """The pieces of evidence that a profile was written from."""
    piece = pa.struct([("role", pa.string()), ("item_id", pa.string()), ("text", pa.string())])
    return Column(
        "evidence", pa.list_(piece), "What the prompt told: role, the item it is about, the text shown", pii=pii
    )


def sentence(column: str) -> Expect:
    """A text of 1 to 600 characters."""
    return Expect("ExpectColumnValueLengthsToBeBetween", column=column, min_value=1, max_value=600)


def reject_columns(*, pii: bool = False) -> tuple[Column, ...]:
    """Columns of a failed attempt; `pii` where it tells about a person."""
    return (
        Column("attempt", pa.int64(), "0 for the first, 1 for the second with another seed"),
        Column("reason", pa.string(), "Which check failed, one term"),
        Column("output", pa.string(), "What the model wrote, cut at 2,000 characters", pii=pii),
        Column("generation_key", pa.string(), "Key of the attempt"),
        Column("model", pa.string(), "Generator name"),
        Column("model_revision", pa.string(), "SHA-256 of the weights"),
        Column("prompt_version", pa.string(), "Version of the prompt"),
        Column("generated_on", pa.date32(), "Night of the attempt"),
    )
