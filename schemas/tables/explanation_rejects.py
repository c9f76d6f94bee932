"""Table `explanation_rejects`."""

from schemas.table import Table
from schemas.tables.generation import reject_columns

EXPLANATION_REJECTS = Table(
    name="explanation_rejects",
    description="Outputs of the model for explanations that were not accepted, one row per attempt",
    columns=reject_columns(pii=True),
    key=("generation_key", "attempt"),
    may_be_empty=True,
)
