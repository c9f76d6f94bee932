"""Table `request_recommendations`."""

import pyarrow as pa

from schemas.table import Column, Table, between, one_of

REQUEST_RECOMMENDATIONS = Table(
    name="request_recommendations",
    description="The list that answers each request; the user's own list where nothing answers it",
    columns=(
        Column("request_id", pa.string(), "As in parsed_requests"),
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("rank", pa.int32(), "From 1"),
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("score", pa.float64(), "Higher is better, comparable within a request only"),
        Column("source", pa.string(), "request, or personal: from the user's recommendations"),
        Column("met", pa.list_(pa.string()), "Labels asked for that the item has, and `era` where its year fits"),
        Column("missed", pa.list_(pa.string()), "What was asked for and the item has not"),
        Column("text", pa.string(), "Why this item, in a sentence or two", pii=True),
    ),
    key=("request_id", "rank"),
    may_be_empty=True,
    expectations=(between("rank", 1), one_of("source", "request", "personal")),
)
