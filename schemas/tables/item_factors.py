"""Table `item_factors`."""

import pyarrow as pa

from schemas.table import Column, Table, one_of

ITEM_FACTORS = Table(
    name="item_factors",
    description="Factors of items by Spark's ALS, fitted where the catalogue exceeds candidates.max_core_items",
    columns=(
        Column("window", pa.string(), "validation, test or serving: nothing later than what the window knows was seen"),
        Column("item_id", pa.string(), "Item that anybody took in what the window knows, as named by the source"),
        Column("factors", pa.list_(pa.float32()), "candidates.ials_dimensions values; a user's are solved from them"),
    ),
    key=(
        "window",
        "item_id",
    ),
    may_be_empty=True,
    expectations=(one_of("window", "validation", "test", "serving"),),
)
