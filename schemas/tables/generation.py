"""What tables of profiles share: where a row came from, what it cost, and how a rejected output is kept."""

import pyarrow as pa

from schemas.table import Column, Expect, one_of

ORIGIN = (
    Column("source", pa.string(), "llm, or template where the model was not asked or its output was not accepted"),
    Column(
        "reason",
        pa.string(),
        "Why the template: over_budget, rejected, too_little_evidence; null for llm",
        nullable=True,
    ),
    Column(
        "generation_key", pa.string(), "SHA-256 of model, revision, prompt version, decoding parameters and evidence"
    ),
    Column("model", pa.string(), "Generator name; null for a template", nullable=True),
    Column("model_revision", pa.string(), "SHA-256 of the weights; null for a template", nullable=True),
    Column("prompt_version", pa.string(), "Version of the prompt"),
    Column(
        "generated_on",
        pa.date32(),
        "Night that generated it (or tried to); null when no night has asked the model",
        nullable=True,
    ),
    Column("prompt_tokens", pa.int64(), "Tokens read when it was generated"),
    Column("output_tokens", pa.int64(), "Tokens written when it was generated"),
)

PROFILE_EXPECTATIONS = (
    one_of("source", "llm", "template"),
    one_of("reason", "over_budget", "rejected", "too_little_evidence"),
    Expect("ExpectColumnValueLengthsToBeBetween", column="summary", min_value=1, max_value=600),
)


def reject_columns(*, pii: bool = False) -> tuple[Column, ...]:
    """Columns of a rejected output; `pii` where it tells about a person."""
    return (
        Column("reason", pa.string(), "Which check failed, one term"),
        Column("output", pa.string(), "What the model wrote, cut at 2,000 characters", pii=pii),
        Column("generation_key", pa.string(), "Key of the attempt"),
        Column("model", pa.string(), "Generator name"),
        Column("prompt_version", pa.string(), "Version of the prompt"),
        Column("generated_on", pa.date32(), "Night of the attempt"),
    )
