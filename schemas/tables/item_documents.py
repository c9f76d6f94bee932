"""Table `item_documents`."""

import pyarrow as pa

from schemas.table import Column, Expect, Table

ITEM_DOCUMENTS = Table(
    name="item_documents",
    description="One clean text per item, the evidence for its profile",
    columns=(
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("title", pa.string(), "Title, cleaned"),
        Column("categories", pa.list_(pa.string()), "Categories, cleaned"),
        Column("document", pa.string(), "Clean text of the configured fields, cut at features.document_characters"),
        Column("content_hash", pa.string(), "SHA-256 of the document"),
    ),
    key=("item_id",),
    expectations=(Expect("ExpectColumnValuesToMatchRegex", column="content_hash", regex="^[0-9a-f]{64}$"),),
)
