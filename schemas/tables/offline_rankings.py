"""Table `offline_rankings`."""

import pyarrow as pa

from schemas.table import Column, Table, between

OFFLINE_RANKINGS = Table(
    name="offline_rankings",
    description="Top lists of every model on the test window, the input of evaluation",
    columns=(
        Column("model", pa.string(), "ranker, or a baseline's name"),
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("rank", pa.int32(), "From 1"),
        Column("item_id", pa.string(), "Item, as named by the source"),
    ),
    key=(
        "model",
        "user_id",
        "rank",
    ),
    may_be_empty=True,
    expectations=(between("rank", 1),),
)
