"""Table `user_profiles`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Expect, Table, one_of

USER_PROFILES = Table(
    name="user_profiles",
    description="What a user likes, one row per user",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("as_of", TIMESTAMP, "Built only from events before this instant"),
        Column("summary", pa.string(), "One sentence about the user's taste", pii=True),
        Column("likes", pa.list_(pa.string()), "Up to 5 things the user likes", pii=True),
        Column("evidence", pa.list_(pa.string()), "item_ids the profile was written from, most recent first", pii=True),
        Column("source", pa.string(), "llm, or template where the model was not asked or its output was not accepted"),
        Column(
            "reason",
            pa.string(),
            "Why the template: over_budget, rejected, too_little_evidence; null for llm",
            nullable=True,
        ),
        Column(
            "generation_key",
            pa.string(),
            "SHA-256 of model, revision, prompt version, decoding parameters and evidence",
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
    ),
    key=("user_id",),
    expectations=(
        one_of("source", "llm", "template"),
        one_of("reason", "over_budget", "rejected", "too_little_evidence"),
        Expect("ExpectColumnValueLengthsToBeBetween", column="summary", min_value=1, max_value=600),
    ),
)
