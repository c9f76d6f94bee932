"""Table `candidates`."""

import pyarrow as pa

from schemas.table import Column, Table, one_of

CANDIDATES = Table(
    name="candidates",
    description="Items proposed for each user, with every source's score and the ranker's other features",
    columns=(
        Column(
            "window", pa.string(), "validation and test look back from the split; serving is what the night publishes"
        ),
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column(
            "popularity_score",
            pa.float32(),
            "Score by recent popularity; null where the source gives none",
            nullable=True,
        ),
        Column(
            "popularity_rank",
            pa.int32(),
            "Rank by recent popularity from 1; null beyond the source's list",
            nullable=True,
        ),
        Column("ease_score", pa.float32(), "Score by EASE; null where the source gives none", nullable=True),
        Column("ease_rank", pa.int32(), "Rank by EASE from 1; null beyond the source's list", nullable=True),
        Column("text_score", pa.float32(), "Score by text similarity; null where the source gives none", nullable=True),
        Column("text_rank", pa.int32(), "Rank by text similarity from 1; null beyond the source's list", nullable=True),
        Column(
            "item_item_score",
            pa.float32(),
            "Score by item-item similarity; null where the source gives none",
            nullable=True,
        ),
        Column(
            "item_item_rank",
            pa.int32(),
            "Rank by item-item similarity from 1; null beyond the source's list",
            nullable=True,
        ),
        Column("item_count", pa.int64(), "Interactions of the item in the window's history"),
        Column("item_recent_count", pa.int64(), "Of these, in its last 30 days"),
        Column("item_week_count", pa.int64(), "Of these, in its last 7 days"),
        Column("item_age_days", pa.float32(), "Days since the item's first interaction; null if none", nullable=True),
        Column("item_idle_days", pa.float32(), "Days since the item's last interaction; null if none", nullable=True),
        Column("user_count", pa.int64(), "Items in the user's history"),
        Column("user_idle_days", pa.float32(), "Days since the user's last interaction; null if none", nullable=True),
        Column("label", pa.int32(), "1 if the user took the item in the window; null for serving", nullable=True),
    ),
    key=(
        "window",
        "user_id",
        "item_id",
    ),
    expectations=(one_of("window", "validation", "test", "serving"),),
)
