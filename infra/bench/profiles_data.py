"""Public data sets as `profiles.py` needs them: items with categories to hide, and events of the training period."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Row = dict[str, Any]

TRAINING_SHARE = 0.8
"""Of the interactions by time: later ones, and reviews in them, are not looked at."""

TAGS = 3
"""Tags of a game that count as labels: they are sorted by votes, and the first ones say what it is."""


@dataclass(frozen=True)
class DataSet:
    """Items with their hidden categories, and the events of the training period."""

    name: str
    kind: str
    documents: list[Row]
    events: list[Row]
    reviews: Mapping[str, Row] = field(default_factory=dict)

    @property
    def content_hash(self) -> str:
        """SHA-256 of everything in it."""
        parts = [self.documents, self.events, sorted(self.reviews.items())]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def movielens(folder: Path) -> DataSet:
    """MovieLens 1M with plots: genres are hidden, title, year and plot are shown."""
    items = pq.read_table(folder / "items_enriched.parquet").to_pylist()
    ratings = _training(pq.read_table(folder / "ratings.parquet", columns=["user_id", "movie_id", "timestamp"]))
    documents = [
        {
            "item_id": str(row["movie_id"]),
            "title": row["title"],
            "categories": row["genres"].split("|"),
            "document": f"plot: {row['plot']}" if row["plot"] else "",
        }
        for row in items
    ]
    return DataSet("ml-1m", "movie", documents, _events(ratings, "movie_id"))


def steam(folder: Path) -> DataSet:
    """Steam reviews: genres and tags are hidden, title, developer and one review of the training period are shown."""
    events = _training(pq.read_table(folder / "interactions.parquet"))
    told = events.filter(pc.is_valid(events["review_text"])).to_pylist()
    reviews: dict[str, Row] = {}
    for row in told:
        text = " ".join(row["review_text"].split())
        if len(text) > 60 and sum(map(str.isascii, text)) > 0.95 * len(text):
            reviews.setdefault(row["item_id"], {"aspects": [], "snippets": [text]})
    rated = set(events["item_id"].to_pylist())
    items = [row for row in pq.read_table(folder / "items.parquet").to_pylist() if row["item_id"] in rated]
    documents = [
        {
            "item_id": row["item_id"],
            "title": row["title"],
            "categories": _game_labels(row),
            "document": f"developer: {row['developer']}" if row["developer"] else "",
        }
        for row in items
        if row["title"] and _game_labels(row)
    ]
    return DataSet("steam", "game", documents, _events(events, "item_id"), reviews)


def _game_labels(row: Row) -> list[str]:
    """Genres, then the most voted tags that are none of them."""
    genres = (row["genres"] or "").split("|")
    return [label for label in dict.fromkeys([*genres, *(row["tags"] or "").split("|")[:TAGS]]) if label]


def _training(table: pa.Table) -> pa.Table:
    """The earlier interactions."""
    ordered = table.sort_by("timestamp")
    return ordered.slice(0, int(TRAINING_SHARE * ordered.num_rows))


def _events(table: pa.Table, item: str) -> list[Row]:
    users, items = (table[name].cast(pa.string()).to_pylist() for name in ("user_id", item))
    return [{"user_id": user, "item_id": one} for user, one in zip(users, items, strict=True)]
