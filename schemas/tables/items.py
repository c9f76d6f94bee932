"""Table `items`."""

import pyarrow as pa

from schemas.table import Column, Table

ITEMS = Table(
    name="items",
    description="The catalogue, one row per item",
    columns=(
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("title", pa.string(), "Title"),
        Column("description", pa.string(), "Free text", nullable=True),
        Column("categories", pa.list_(pa.string()), "Genres, tags or categories, in the source's order"),
        Column(
            "texts",
            pa.list_(pa.struct([("field", pa.string()), ("text", pa.string())])),
            "The fields that describe the item to a model, in the configured order",
        ),
    ),
    key=("item_id",),
)
