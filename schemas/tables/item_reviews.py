"""Table `item_reviews`."""

import pyarrow as pa

from schemas.table import Column, Table, between

ASPECT = pa.struct(
    [
        ("aspect", pa.string()),
        ("sentiment", pa.float64()),
        ("n_positive", pa.int64()),
        ("n_negative", pa.int64()),
        ("n_reviews", pa.int64()),
    ]
)
"""An aspect of the vocabulary, the mean sentiment of the sentences that name it (-1 to 1), and how many reviews do."""

ITEM_REVIEWS = Table(
    name="item_reviews",
    description="What reviews of the training period say about an item, one row per reviewed item",
    columns=(
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("n_reviews", pa.int64(), "Reviews with text"),
        Column("mean_sentiment", pa.float64(), "Mean over reviews, -1 to 1"),
        Column("aspects", pa.list_(ASPECT), "What is judged, most reviews first, ties by name"),
        Column("snippets", pa.list_(pa.string()), "Up to 3 telling sentences, without personal data"),
    ),
    key=("item_id",),
    may_be_empty=True,
    expectations=(between("n_reviews", 1), between("mean_sentiment", -1, 1)),
)
