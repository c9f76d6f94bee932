"""Table `item_profiles`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table
from schemas.tables.generation import ORIGIN, PROFILE_EXPECTATIONS

ITEM_PROFILES = Table(
    name="item_profiles",
    description="What an item is and for whom, one row per item",
    columns=(
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("as_of", TIMESTAMP, "Built only from what was known before this instant"),
        Column("summary", pa.string(), "One sentence"),
        Column("audience", pa.string(), "Who it is for"),
        Column("themes", pa.list_(pa.string()), "Up to 5 themes"),
        *ORIGIN,
    ),
    key=("item_id",),
    expectations=PROFILE_EXPECTATIONS,
)
