"""Table `splits`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table, one_of

SPLITS = Table(
    name="splits",
    description="The time split for offline evaluation, one row per interaction",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("timestamp", TIMESTAMP, "When it happened, UTC"),
        Column("rating", pa.float64(), "Explicit rating", nullable=True),
        Column("weight", pa.float64(), "Strength of the event"),
        Column("split", pa.string(), "train, validation or test: by time over all interactions"),
    ),
    key=(
        "user_id",
        "item_id",
        "timestamp",
    ),
    expectations=(one_of("split", "train", "validation", "test"),),
)
