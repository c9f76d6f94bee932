"""A part of ML-100K today and a day later, for benchmarks of what a second night costs."""

import argparse
import os
import random
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from schemas.config import RunConfig, freeze

NIGHT = date(1998, 4, 23)
NEW_CHOICES = 4
"""New interactions of each user that changed, unless it has fewer items left."""


def parsed(description: str) -> argparse.Namespace:
    """The command line of a benchmark of two days."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=400, help="most used items of ML-100K (default 400)")
    parser.add_argument("--users", type=int, default=200, help="most recently active users (default 200)")
    parser.add_argument("--backend", default="transformers", choices=("transformers", "fake"))
    parser.add_argument("--seed", type=int, default=20_241)
    return parser.parse_args()


def catalogue(n_items: int, n_users: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The most used items and what the most recently active users did with them, from ML-100K."""
    source = Path(os.environ["NIGHTREC_ASSETS"]) / "ml-100k"
    events = pd.read_csv(source / "ml-100k.inter", sep="\t")
    items = pd.read_csv(source / "ml-100k.item", sep="\t", dtype=str)
    events.columns, items.columns = ([name.split(":")[0] for name in frame.columns] for frame in (events, items))
    used = events["item_id"].value_counts().sort_index().nlargest(n_items).index
    events = events[events["item_id"].isin(used)]
    active = events.groupby("user_id")["timestamp"].max().sort_index().nlargest(n_users).index
    return events[events["user_id"].isin(active)], items[items["item_id"].isin({str(item) for item in used})]


def next_day(
    events: pd.DataFrame, items: pd.DataFrame, chance: random.Random, item_share: float, user_share: float
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """The sources a day later: shares of the items with other classes, and of the users with new choices; how many."""
    users, ids = sorted(events["user_id"].unique()), sorted(items["item_id"])
    changed_users = chance.sample(users, round(user_share * len(users)))
    changed_items = chance.sample(ids, round(item_share * len(ids)))
    other = items["item_id"].isin(changed_items)
    items = items.assign(**{"class": items["class"].where(~other, items["class"] + " Mystery Musical")})
    noon = int(datetime(NIGHT.year, NIGHT.month, NIGHT.day, 12, tzinfo=UTC).timestamp())
    new = [
        {"user_id": user, "item_id": int(item), "rating": 5.0, "timestamp": noon + turn}
        for user in changed_users
        for turn, item in enumerate(_unseen(events, user, ids, chance))
    ]
    changed = {"items": len(changed_items), "users": len(changed_users), "interactions": len(new)}
    return pd.concat([events, pd.DataFrame(new)]) if new else events, items, changed


def _unseen(events: pd.DataFrame, user: int, ids: list[str], chance: random.Random) -> list[str]:
    seen = set(events.loc[events["user_id"] == user, "item_id"])
    unseen = [item for item in ids if int(item) not in seen]
    return chance.sample(unseen, min(NEW_CHOICES, len(unseen)))


def write_sources(folder: Path, events: pd.DataFrame, items: pd.DataFrame) -> None:
    """Put the sources where `frozen` says that they are."""
    folder.mkdir(parents=True, exist_ok=True)
    events.to_csv(folder / "events.csv", index=False)
    items.to_csv(folder / "items.csv", index=False)


def frozen(sources: Path, home: Path, on: date, run_id: str, generator: dict[str, Any], **changes: Any) -> RunConfig:
    """Configuration of a night on the sources in a folder, with lake and MLflow in another; every text is paid."""
    columns = {"user_id": "user_id", "item_id": "item_id", "timestamp": {"column": "timestamp", "unit": "s"}}
    about = {"item_id": "item_id", "title": "movie_title", "categories": {"column": "class", "split": " "}}
    source = {
        "name": "ml-100k-part",
        "interactions": _csv(sources / "events.csv", {**columns, "rating": "rating"}),
        "items": _csv(sources / "items.csv", about) | {"text": ["movie_title", "class", "release_year"]},
    }
    budget = {"nightly_token_budget": 10**8}
    document = {"source": source, "generator": {"item_kind": "movie", **budget, **generator}, "explanations": budget}
    store = f"sqlite:///{home}/mlflow.db"
    return freeze(document, run_id=run_id, run_date=on, lake=str(home / "lake"), mlflow_tracking_uri=store, **changes)


def _csv(path: Path, columns: dict[str, Any]) -> dict[str, Any]:
    return {"format": "csv", "path": str(path), "columns": columns}
