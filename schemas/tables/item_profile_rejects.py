"""Table `item_profile_rejects`."""

import pyarrow as pa

from schemas.table import Column, Table
from schemas.tables.generation import reject_columns

ITEM_PROFILE_REJECTS = Table(
    name="item_profile_rejects",
    description="Outputs of the model for item profiles that were not accepted, one row per attempt",
    columns=(
        Column("item_id", pa.string(), "Item, as named by the source"),
        *reject_columns(),
    ),
    key=("item_id", "attempt"),
    may_be_empty=True,
)
