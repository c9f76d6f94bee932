"""Table `candidates`."""

import pyarrow as pa

from schemas.candidates_config import SOURCES
from schemas.table import Column, Table, one_of

IN_WORDS = {
    "popularity": "recent popularity",
    "ease": "EASE",
    "text": "text similarity",
    "item_item": "item-item similarity",
    "transitions": "transitions",
    "words": "shared words",
    "ease_text": "EASE with a text prior",
    "ials": "iALS",
    "trending": "popularity that fades",
    "newcomers": "what users begin with",
    "new_items": "likeness of new items",
    "graph": "texts spread over the graph",
    "two_tower": "two towers over texts",
    "sequence": "the sequence model",
    "sequence_text": "the sequence model that reads texts",
    "generative": "semantic ids written by a decoder",
    "profiles": "likeness of profiles",
    "stated": "likeness to what a new user said",
}


def _of_source(source: str) -> tuple[Column, Column]:
    """A source's score and rank."""
    words = IN_WORDS[source]
    score, rank = (
        f"Score by {words}; null where the source gives none",
        f"Rank by {words} from 1; null beyond the source's list",
    )
    return (
        Column(f"{source}_score", pa.float32(), score, nullable=True),
        Column(f"{source}_rank", pa.int32(), rank, nullable=True),
    )


CANDIDATES = Table(
    name="candidates",
    description="Items proposed for each user, with every source's score and the ranker's other features",
    columns=(
        Column(
            "window", pa.string(), "validation and test look back from the split; serving is what the night publishes"
        ),
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("item_id", pa.string(), "Item, as named by the source"),
        *(column for source in SOURCES for column in _of_source(source)),
        Column("item_count", pa.int64(), "Interactions of the item in the window's history"),
        Column("item_recent_count", pa.int64(), "Of these, in its last 30 days"),
        Column("item_quarter_count", pa.int64(), "Of these, in its last 90 days"),
        Column("item_year_count", pa.int64(), "Of these, in its last 365 days"),
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
