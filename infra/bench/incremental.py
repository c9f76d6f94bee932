"""What a second night costs when little has changed: 1% of the items, 5% of the users (`make bench-incremental`).

Two nights of the pipeline's own tasks, from ingest to profiles, over a part of ML-100K: the most used items and the
most recently active users among them. Before the second night, 1% of the items get another category and 5% of the
users choose as many new items as a prompt shows of the recent ones, so that their profiles are stale. All others
are as they were. The tokens of both nights are those of the table `generation_costs`.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from measurement import circumstances
from schemas.config import RunConfig, freeze
from schemas.lake import Lake
from schemas.night import save_config, task_records

HOME = Path(__file__).resolve().parents[2]
TASKS = (
    "jobs/ingest.py",
    "jobs/features.py",
    "ray_tasks.vocabularies",
    "ray_tasks.item_profiles",
    "ray_tasks.user_profiles",
)
NIGHT = date(1998, 4, 23)
CHANGED_ITEMS, CHANGED_USERS, NEW_CHOICES = 0.01, 0.05, 4


def main() -> None:
    """Run both nights and write build/bench/incremental.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=400, help="most used items of ML-100K (default 400)")
    parser.add_argument("--users", type=int, default=200, help="most recently active users (default 200)")
    parser.add_argument("--backend", default="transformers", choices=("transformers", "fake"))
    parser.add_argument("--seed", type=int, default=20_241)
    arguments = parser.parse_args()
    folder = HOME / "build" / "bench" / "incremental"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    events, items = catalogue(arguments.items, arguments.users)
    first = night(folder, NIGHT, events, items, arguments)
    events, items, changed = next_day(events, items, random.Random(arguments.seed))  # noqa: S311 - no secret
    second = night(folder, NIGHT + timedelta(days=1), events, items, arguments)
    figures = compare(first, second, changed) | {
        "backend": arguments.backend,
        "seed": arguments.seed,
        **circumstances(HOME),
        "data_hash": {n: r["content_hash"] for n, r in task_records(first)["ingest"]["outputs"].items()},
    }
    path = HOME / "build" / "bench" / "incremental.json"
    path.write_text(json.dumps(figures, indent=2))
    print(json.dumps({k: figures[k] for k in ("tokens_night1", "tokens_night2", "ratio", "changed")}, indent=2))


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
    events: pd.DataFrame, items: pd.DataFrame, chance: random.Random
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """The sources a day later, and how many items and users changed."""
    users, ids = sorted(events["user_id"].unique()), sorted(items["item_id"])
    changed_users = chance.sample(users, round(CHANGED_USERS * len(users)))
    changed_items = chance.sample(ids, round(CHANGED_ITEMS * len(ids)))
    other = items["item_id"].isin(changed_items)
    items = items.assign(**{"class": items["class"].where(~other, items["class"] + " Mystery Musical")})
    noon = int(datetime(NIGHT.year, NIGHT.month, NIGHT.day, 12, tzinfo=UTC).timestamp())
    new = [
        {"user_id": user, "item_id": int(item), "rating": 5.0, "timestamp": noon + turn}
        for user in changed_users
        for turn, item in enumerate(_unseen(events, user, ids, chance))
    ]
    changed = {"items": len(changed_items), "users": len(changed_users), "interactions": len(new)}
    return pd.concat([events, pd.DataFrame(new)]), items, changed


def _unseen(events: pd.DataFrame, user: int, ids: list[str], chance: random.Random) -> list[str]:
    seen = set(events.loc[events["user_id"] == user, "item_id"])
    return chance.sample([item for item in ids if int(item) not in seen], NEW_CHOICES)


def night(
    folder: Path, on: date, events: pd.DataFrame, items: pd.DataFrame, arguments: argparse.Namespace
) -> RunConfig:
    """Write the sources, run the tasks of a night one after the other, and return its configuration."""
    events.to_csv(folder / "events.csv", index=False)
    items.to_csv(folder / "items.csv", index=False)
    columns = {"user_id": "user_id", "item_id": "item_id", "timestamp": {"column": "timestamp", "unit": "s"}}
    about = {
        "item_id": "item_id",
        "title": "movie_title",
        "categories": {"column": "class", "split": " "},
    }
    source = {
        "name": "ml-100k-part",
        "interactions": _csv(folder / "events.csv", {**columns, "rating": "rating"}),
        "items": _csv(folder / "items.csv", about) | {"text": ["movie_title", "class", "release_year"]},
    }
    generator: dict[str, Any] = {"backend": arguments.backend, "item_kind": "movie", "nightly_token_budget": 10**8}
    config = freeze(
        {"source": source, "generator": generator, "seed": arguments.seed},
        run_id=f"incremental-{on}",
        run_date=on,
        lake=str(folder / "lake"),
        mlflow_tracking_uri=f"sqlite:///{folder}/mlflow.db",
    )
    uri = save_config(config)
    for task in TASKS:
        print(f"{on} {task}", flush=True)
        command = [task] if task.endswith(".py") else ["-m", task]
        subprocess.run([sys.executable, *command, "--config", uri], check=True, cwd=HOME)
    return config


def _csv(path: Path, columns: dict[str, Any]) -> dict[str, Any]:
    return {"format": "csv", "path": str(path), "columns": columns}


def compare(first: RunConfig, second: RunConfig, changed: dict[str, int]) -> dict[str, Any]:
    """Tokens of both nights in all and per kind, and their ratio."""
    costs = [
        {row["kind"]: row for row in Lake(config.lake).snapshot("generation_costs", config.night).read().to_pylist()}
        for config in (first, second)
    ]
    tokens = [sum(row["prompt_tokens"] + row["output_tokens"] for row in night.values()) for night in costs]
    return {
        "tokens_night1": tokens[0],
        "tokens_night2": tokens[1],
        "ratio": round(tokens[1] / tokens[0], 4),
        "changed": changed,
        "night1": costs[0],
        "night2": costs[1],
    }


if __name__ == "__main__":
    main()
