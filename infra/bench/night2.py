"""What a second night costs when little has changed, and that it ends as a full recompute (`make bench-night2`).

A first night on a part of ML-100K writes every profile. From its lake, three second nights begin: with nothing changed,
with 1% and with 10% of the users and items changed. Cost is CPU seconds of all tasks beyond what the same night takes
on a catalogue of next to nothing, which is what starting Spark and Ray takes, over the same of the first night.
Each second night is run once more from the same lake with `recompute`: all published rows must be the same.
"""

import argparse
import json
import logging
import random
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

from task_runs import HOME, costs, run_tasks
from two_days import NIGHT, catalogue, frozen, next_day, parsed, write_sources

from measurement import written
from schemas.config import RunConfig
from schemas.manifest import publish_night, read_manifest

SHARES = {"0": 0.0, "1": 0.01, "10": 0.1}
SMALLEST = 30
"""Items and users of the catalogue on which a night is little more than its start."""
TOLD_APART = ("generation_costs",)
"""Tables that say what a night took, not what it found."""


def main() -> None:
    """Run all nights and write build/bench/night2.json."""
    arguments = parsed(__doc__ or "")
    logging.basicConfig(level=logging.WARNING)
    folder = HOME / "build" / "bench" / "night2"
    shutil.rmtree(folder, ignore_errors=True)
    start = nights(folder / "start", SMALLEST, SMALLEST, arguments, full=False)
    found = nights(folder / "whole", arguments.items, arguments.users, arguments, full=True)
    whole = found["first"]["cpu_seconds"] - start["first"]["cpu_seconds"]
    shares = {f"cost_{n}": round((found[n]["cpu_seconds"] - start[n]["cpu_seconds"]) / whole, 4) for n in SHARES}
    told = {
        **shares,
        "identical": all(found[n]["identical"] for n in SHARES),
        "start_cpu_seconds": {n: night["cpu_seconds"] for n, night in start.items()},
        "first_night_cpu_seconds": found["first"]["cpu_seconds"],
    }
    figures = {
        **told,
        "nights": found,
        "starts": start,
        **{name: getattr(arguments, name) for name in ("items", "users", "backend", "seed")},
    }
    written(HOME, "night2", figures)
    print(json.dumps(told, indent=2))


def nights(
    folder: Path, n_items: int, n_users: int, arguments: argparse.Namespace, *, full: bool
) -> dict[str, dict[str, Any]]:
    """A first night, and a second one for each share; with `full`, each of these recomputed too."""
    events, items = catalogue(n_items, n_users)
    write_sources(folder, events, items)
    generator = {"backend": arguments.backend}
    first = frozen(folder, folder / "first", NIGHT, "first", generator, seed=arguments.seed)
    found = {"first": measured(first)}
    for name, share in SHARES.items():
        chance = random.Random(arguments.seed)  # noqa: S311 - no secret
        # Of a catalogue of next to nothing, one user and one item change.
        least = max(share, 1 / SMALLEST) if share and not full else share
        *sources, changed = next_day(events, items, chance, least, least)
        write_sources(folder, *sources)
        configs = {
            kind: frozen(
                folder, copied(folder, kind, name), NIGHT + timedelta(days=1), kind, generator, seed=arguments.seed
            )
            for kind in (("second", "again") if full else ("second",))
        }
        found[name] = {**measured(configs["second"]), "changed": changed}
        if full:
            again = configs["again"].model_copy(update={"recompute": True})
            found[name]["recompute_cpu_seconds"] = measured(again)["cpu_seconds"]
            found[name]["different_tables"] = different(configs["second"], again)
            found[name]["identical"] = not found[name]["different_tables"]
    return found


def copied(folder: Path, kind: str, name: str) -> Path:
    """The first night's lake and MLflow store once more, for a second night to go on from."""
    target = folder / f"{kind}-{name}"
    shutil.copytree(folder / "first", target)
    return target


def measured(config: RunConfig) -> dict[str, Any]:
    """Run a night and publish it; CPU seconds and wall seconds of all tasks, and of each."""
    publish_night(run_tasks(config))
    tasks = costs(config)
    return {
        **{name: round(sum(task[name] for task in tasks.values()), 1) for name in ("cpu_seconds", "seconds")},
        "tasks": tasks,
    }


def different(one: RunConfig, other: RunConfig) -> list[str]:
    """Tables whose published content differs between two runs of a night."""
    tables = [read_manifest(config.lake, config.night).tables for config in (one, other)]
    return [
        name
        for name in tables[0]
        if name not in TOLD_APART and tables[0][name].content_hash != tables[1][name].content_hash
    ]


if __name__ == "__main__":
    main()
