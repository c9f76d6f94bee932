"""Table `item_embeddings`."""

import pyarrow as pa

from schemas.table import Column, Table, one_of

ITEM_EMBEDDINGS = Table(
    name="item_embeddings",
    description="Unit vectors of items' texts",
    columns=(
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("kind", pa.string(), "document or profile"),
        Column("text_hash", pa.string(), "SHA-256 of encoder and text: unchanged texts are not encoded again"),
        Column("vector", pa.list_(pa.float32()), "Unit length"),
    ),
    key=(
        "item_id",
        "kind",
    ),
    expectations=(one_of("kind", "document", "profile"),),
)
