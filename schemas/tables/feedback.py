"""Table `feedback`."""

import pyarrow as pa

from schemas.source_config import FEEDBACK_KINDS
from schemas.table import TIMESTAMP, Column, Table, between, one_of

FEEDBACK = Table(
    name="feedback",
    description="What users did with published recommendations before as_of",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("timestamp", TIMESTAMP, "When it happened, UTC"),
        Column("kind", pa.string(), ", ".join(FEEDBACK_KINDS)),
        Column("value", pa.float64(), "Value of the event, where it has one: of dwell, seconds", nullable=True),
        Column("rank", pa.int32(), "Place of the list at which the item stood, from 1", nullable=True),
        Column("detail", pa.string(), "The theme of hide_theme, the words of a comment", nullable=True, pii=True),
    ),
    key=(
        "user_id",
        "item_id",
        "timestamp",
        "kind",
    ),
    may_be_empty=True,
    expectations=(one_of("kind", *FEEDBACK_KINDS), between("rank", 1)),
)
