"""Table `generation_costs`."""

import pyarrow as pa

from schemas.table import Column, Table, between, one_of

GENERATION_COSTS = Table(
    name="generation_costs",
    description="What the night's profiles cost and what reuse saved, one row per kind of profile",
    columns=(
        Column("kind", pa.string(), "item or user"),
        Column("model", pa.string(), "Generator name"),
        Column("model_revision", pa.string(), "SHA-256 of the weights"),
        Column("prompt_version", pa.string(), "Version of the prompt"),
        Column("profiles", pa.int64(), "Profiles published"),
        Column("asked", pa.int64(), "Profiles that the model was asked for this night"),
        Column("accepted", pa.int64(), "Of these, accepted (first or second attempt)"),
        Column("failed_attempts", pa.int64(), "Attempts of this night that a check refused"),
        Column("reused", pa.int64(), "Profiles of earlier nights that were still fresh"),
        Column("over_budget", pa.int64(), "Stale or missing profiles that the budget did not reach"),
        Column("prompt_tokens", pa.int64(), "Tokens read this night"),
        Column("output_tokens", pa.int64(), "Tokens written this night"),
        Column("saved_tokens", pa.int64(), "Tokens that the reused profiles had cost"),
        Column("budget_tokens", pa.int64(), "Most tokens that this kind could spend"),
        Column("money", pa.float64(), "Price of the night's tokens, by the endpoint's prices"),
        Column("saved_money", pa.float64(), "Price of the saved tokens"),
        Column("tokens_per_thousand", pa.float64(), "Tokens per thousand accepted profiles", nullable=True),
        Column("money_per_thousand", pa.float64(), "Price per thousand accepted profiles", nullable=True),
    ),
    key=("kind",),
    expectations=(one_of("kind", "item", "user"), between("asked", 0), between("money", 0)),
)
