"""Table `feedback`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table

FEEDBACK = Table(
    name="feedback",
    description="What users did with published recommendations before as_of",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("timestamp", TIMESTAMP, "When it happened, UTC"),
        Column("kind", pa.string(), "impression, click, skip, like, dislike, hide, ..."),
        Column("value", pa.float64(), "Value of the event, where it has one", nullable=True),
    ),
    key=(
        "user_id",
        "item_id",
        "timestamp",
        "kind",
    ),
    may_be_empty=True,
)
