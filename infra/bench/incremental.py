"""What a second night costs when little has changed: 1% of the items, 5% of the users (`make bench-incremental`).

Two nights of the pipeline's own tasks, from ingest to profiles, over a part of ML-100K: the most used items and the
most recently active users among them. Before the second night, 1% of the items get another category and 5% of the
users choose as many new items as a prompt shows of the recent ones, so that their profiles are stale. All others
are as they were. The tokens of both nights are those of the table `generation_costs`.
"""

import argparse
import json
import random
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from task_runs import HOME, NIGHT_TASKS, run_tasks
from two_days import NIGHT, catalogue, frozen, next_day, parsed, write_sources

from measurement import written
from schemas.config import RunConfig
from schemas.lake import Lake
from schemas.night import task_records

TASKS = NIGHT_TASKS[: NIGHT_TASKS.index("ray_tasks.user_profiles") + 1]
CHANGED_ITEMS, CHANGED_USERS = 0.01, 0.05


def main() -> None:
    """Run both nights and write build/bench/incremental.json."""
    arguments = parsed(__doc__ or "")
    folder = HOME / "build" / "bench" / "incremental"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    events, items = catalogue(arguments.items, arguments.users)
    first = night(folder, NIGHT, events, items, arguments)
    chance = random.Random(arguments.seed)  # noqa: S311 - no secret
    events, items, changed = next_day(events, items, chance, CHANGED_ITEMS, CHANGED_USERS)
    second = night(folder, NIGHT + timedelta(days=1), events, items, arguments)
    figures = compare(first, second, changed) | {
        "backend": arguments.backend,
        "seed": arguments.seed,
        "data_hash": {n: r["content_hash"] for n, r in task_records(first)["ingest"]["outputs"].items()},
    }
    written(HOME, "incremental", figures)
    print(json.dumps({k: figures[k] for k in ("tokens_night1", "tokens_night2", "ratio", "changed")}, indent=2))


def night(
    folder: Path, on: date, events: pd.DataFrame, items: pd.DataFrame, arguments: argparse.Namespace
) -> RunConfig:
    """Write the sources, run the tasks of a night one after the other, and return its configuration."""
    write_sources(folder, events, items)
    config = frozen(folder, folder, on, f"incremental-{on}", {"backend": arguments.backend}, seed=arguments.seed)
    run_tasks(config, TASKS)
    return config


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
