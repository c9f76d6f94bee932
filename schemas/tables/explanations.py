"""Table `explanations`."""

import pyarrow as pa

from schemas.table import Column, Table, one_of

EXPLANATIONS = Table(
    name="explanations",
    description="Why each recommendation, from evidence",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("rank", pa.int32(), "Rank of the recommendation"),
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("text", pa.string(), "One or two sentences", pii=True),
        Column("style", pa.string(), "template"),
        Column(
            "evidence",
            pa.list_(pa.struct([("item_id", pa.string()), ("contribution", pa.float64())])),
            "History items that caused it, strongest first; empty where popularity did",
            pii=True,
        ),
    ),
    key=(
        "user_id",
        "rank",
    ),
    expectations=(one_of("style", "template"),),
)
