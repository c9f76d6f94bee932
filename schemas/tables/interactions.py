"""Table `interactions`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table, between

INTERACTIONS = Table(
    name="interactions",
    description="One row per event of a user with an item before as_of, typed and deduplicated",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("timestamp", TIMESTAMP, "When it happened, UTC"),
        Column("rating", pa.float64(), "Explicit rating, in the source's scale", nullable=True),
        Column("weight", pa.float64(), "Strength of the event; 1 where the source gives none"),
        Column("event_type", pa.string(), "Kind of event, where the source tells", nullable=True),
        Column("review", pa.string(), "What the user wrote about it, on one line", nullable=True, pii=True),
    ),
    key=(
        "user_id",
        "item_id",
        "timestamp",
    ),
    expectations=(between("weight", 0),),
)
