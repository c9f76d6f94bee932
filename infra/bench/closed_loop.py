"""Whether feedback makes the next lists better, on simulated users over ten nights (`make bench-closed-loop`).

The same users live three times. In the world `on` the night reads what they did with its lists as feedback: what was
shown, at which place, clicked on, hidden. In `log` it is told only what they took, as a log of sales tells it, and in
`off` nothing. Tastes drift alike in all, and nobody takes an item twice. Each night ingests, prepares features, scores
and ranks as a night does; profiles and vectors are made up from the items' true vectors, with noise.

`lift` is the relative difference of the click rate between `on` and `off` over all nights with feedback to learn from
(the first has none), with a 95% interval between users; `lift_over_log` the same between `on` and `log`. `reappeared`
counts places at which a list holds an item that its user had hidden, in the world that reads feedback.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import t
from simulated_users import Floats, Ints, SimulatedUsers
from task_runs import HOME

from jobs.features import features
from jobs.ingest import ingest
from jobs.session import spark_session
from measurement import written
from ray_tasks import candidates, ranking
from ray_tasks.ray_session import ray_session
from schemas.config import RunConfig, freeze
from schemas.lake import Lake
from schemas.night import Task, night_task, save_config
from schemas.stage_files import write_rows
from schemas.tables import TABLES

START = date(2026, 3, 1)
PAST_DAYS, PER_DAY = 30, 1
PLACES = 10
HIDES, DISLIKED = 0.5, 0.05
"""Chance that a user hides an item that was looked at and not clicked on, where its chance of a click is less."""
GRIDS = {
    "sources": ("popularity", "ease", "item_item", "text", "newcomers", "new_items"),
    "per_source": 40,
    "popularity_days": (7, 30),
    "ease_l2": (30, 300),
    "item_item_neighbours": (50,),
    "item_item_shrinkage": (10,),
    "history_half_life": (0, 10),
    "new_items_half_life": (10,),
    "trending_days": (7, 30),
    "newcomers_first": (3,),
}


@dataclass
class World:
    """One life of the users: what they did before, and what they said of the lists.

    `name`: on, log or off. Nobody takes an item twice: `taken`, (users, items), is what a click or an earlier choice
    has had its use of.
    """

    users: SimulatedUsers
    folder: Path
    name: str
    events: list[dict[str, Any]] = field(default_factory=list)
    feedback: list[dict[str, Any]] = field(default_factory=list)
    hidden: set[tuple[int, int]] = field(default_factory=set)
    clicks: list[Ints] = field(default_factory=list)
    reappeared: int = 0
    taken: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.taken = np.zeros((self.users.users, self.users.items), dtype=bool)

    def live_before(self) -> None:
        """Days without lists, on which users take what they like among a few items that they come across."""
        for day in range(-PAST_DAYS, 0):
            met = self.users.moves.integers(0, self.users.items, (self.users.users, 12))
            new = ~self.taken[np.arange(len(met))[:, None], met]
            liked = self.users.attraction(met) * new * self.users.moves.random(met.shape)
            best = np.argsort(-liked, axis=1)[:, :PER_DAY]
            for user, places in enumerate(best):
                self.taken[user, met[user, places]] = True
                self.events += [self._event(user, int(met[user, place]), day, 3_600 * 12) for place in places]

    def live(self, night: int, lists: Ints) -> None:
        """A day with lists, -1 for empty places."""
        shown = np.maximum(lists, 0)
        looked = self.users.chance.random(lists.shape) < self.users.examination(lists.shape[1])
        everybody = np.arange(len(lists))[:, None]
        attraction, new = self.users.attraction(shown), ~self.taken[everybody, shown]
        clicked = looked & (self.users.chance.random(lists.shape) < attraction * new) & (lists >= 0)
        hiding = self.users.chance.random(lists.shape) < HIDES * (attraction < DISLIKED)
        hides = looked & ~clicked & hiding & (lists >= 0)
        self.reappeared += sum((user, int(item)) in self.hidden for user, own in enumerate(lists) for item in own)
        for user, place in zip(*np.nonzero(lists >= 0), strict=True):
            item, at = int(lists[user, place]), 3_600 * 9 + int(place)
            kinds = ["impression"] + ["click"] * bool(clicked[user, place]) + ["hide_item"] * bool(hides[user, place])
            for number, kind in enumerate(kinds):
                said = self._event(int(user), item, night, at + 60 * number) | {"kind": kind, "rank": int(place) + 1}
                self.feedback.append(said)
            if hides[user, place]:
                self.hidden.add((int(user), item))
        user, place = np.nonzero(clicked)
        self.taken[user, lists[user, place]] = True
        if self.name == "log":
            items = lists[user, place]
            self.events += [self._event(int(u), int(i), night, 3_600 * 12) for u, i in zip(user, items, strict=True)]
        self.clicks.append(clicked.sum(axis=1))
        self.users.next_day()

    def _event(self, user: int, item: int, day: int, second: int) -> dict[str, Any]:
        moment = datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=day, seconds=second)
        return {"user": f"u{user:04d}", "item": f"i{item:04d}", "when": moment.isoformat()}

    def config(self, night: int) -> RunConfig:
        """The night after so many days with lists; writes its sources."""
        self.folder.mkdir(parents=True, exist_ok=True)
        items = [{"item": f"i{n:04d}", "name": f"Item {n}", "tags": f"kind {n % 6}"} for n in range(self.users.items)]
        for name, rows in (("events", self.events), ("items", items), ("feedback", self.feedback)):
            pd.DataFrame(rows or [{"user": "", "item": "", "when": "", "kind": "", "rank": ""}]).to_csv(
                self.folder / f"{name}.csv", index=False
            )
        pair = {"user_id": "user", "item_id": "item", "timestamp": "when"}
        source: dict[str, Any] = {
            "name": "simulated",
            "interactions": self._csv("events", pair),
            "items": self._csv("items", {"item_id": "item", "title": "name", "categories": "tags"}),
        }
        if self.name == "on" and self.feedback:
            source["feedback"] = self._csv("feedback", {**pair, "kind": "kind", "rank": "rank"})
        document = {
            "source": source,
            "candidates": GRIDS,
            "ranking": {"top_k": PLACES, "trees": 50},
            "generator": {"backend": "fake", "path": "unused"},
            "encoder": {"backend": "fake", "path": "unused"},
        }
        places = {"lake": str(self.folder / "lake"), "mlflow_tracking_uri": f"sqlite:///{self.folder}/mlflow.db"}
        return freeze(document, run_id=f"night-{night}", run_date=START + timedelta(days=night), **places)

    def _csv(self, name: str, columns: dict[str, str]) -> dict[str, Any]:
        return {"format": "csv", "path": str(self.folder / f"{name}.csv"), "columns": columns}


def main() -> None:
    """Let all worlds live, and write build/bench/closed-loop.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--seed", type=int, default=20_241)
    arguments = parser.parse_args()
    home = HOME / "build" / "bench" / "closed-loop"
    shutil.rmtree(home, ignore_errors=True)
    worlds = {
        name: World(SimulatedUsers(arguments.users, arguments.items, arguments.seed), home / name, name)
        for name in ("on", "log", "off")
    }
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", "--master local[2] --driver-memory 2g pyspark-shell")
    with spark_session("closed-loop") as spark, ray_session():
        for name, world in worlds.items():
            world.live_before()
            for night in range(arguments.nights):
                world.live(night, lists_of(world, world.config(night), spark))
                print(f"{name}, night {night + 1}: click rate {world.clicks[-1].mean() / PLACES:.4f}", flush=True)
    figures = {**compared(worlds), **vars(arguments)}
    print(json.dumps(figures, indent=2))
    written(HOME, "closed-loop", figures)


def lists_of(world: World, config: RunConfig, spark: Any) -> Ints:
    """The night's lists, (users, places)."""
    uri = save_config(config)
    jobs: tuple[tuple[str, Callable[[Task, Any], Any]], ...] = (("ingest", ingest), ("features", features))
    for name, job in jobs:
        spark.catalog.clearCache()
        with night_task(name, uri) as task:
            job(task, spark)
    with night_task("made_up", uri) as task:
        for name, rows in made_up(world).items():
            stage = task.stage(name)
            write_rows(stage, pa.Table.from_pylist(rows, schema=TABLES[name].schema))
            task.publish(stage)
    for module in (candidates, ranking):
        sys.argv = [module.__name__, "--config", uri]
        module.main()
    rows = Lake(config.lake).snapshot("recommendations", config.night).read(["user_id", "rank", "item_id"]).to_pydict()
    found = np.full((world.users.users, PLACES), -1, dtype=np.int64)
    users, items = ([int(one[1:]) for one in rows[name]] for name in ("user_id", "item_id"))
    found[users, np.array(rows["rank"]) - 1] = items
    return found


def made_up(world: World) -> dict[str, list[dict[str, Any]]]:
    """What the tasks of the language model and the encoder would have published."""
    noise = np.random.default_rng([world.users.seed, 2]).normal(0, 0.3, world.users.vectors.shape)
    vectors = world.users.vectors + noise
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    about_items = {f"i{n:04d}": vector for n, vector in enumerate(vectors.tolist())}
    about_users = {event["user"]: about_items[event["item"]] for event in world.events}  # the latest choice
    return {
        "vocabularies": [],
        "user_embeddings": [
            {"user_id": user, "kind": "profile", "text_hash": "h", "vector": vector}
            for user, vector in sorted(about_users.items())
        ],
        "item_embeddings": [
            {"item_id": item, "kind": "document", "text_hash": "h", "vector": vector}
            for item, vector in about_items.items()
        ],
    }


def compared(worlds: Mapping[str, World]) -> dict[str, Any]:
    """Click rates from the second night on, their relative differences, and hidden items that came again."""
    rates = {name: np.array(world.clicks[1:], dtype=float).mean(axis=0) / PLACES for name, world in worlds.items()}
    found: dict[str, Any] = {f"click_rate_{name}": round(float(rate.mean()), 5) for name, rate in rates.items()}
    for key, other in (("lift", "off"), ("lift_over_log", "log")):
        found[key], found[f"{key}_ci"] = lift(rates["on"], rates[other])
    on = worlds["on"]
    nightly = {f"nightly_{n}": [round(float(c.mean()) / PLACES, 4) for c in w.clicks] for n, w in worlds.items()}
    return {**found, "reappeared": on.reappeared, "hidden": len(on.hidden), **nightly}


def lift(one: Floats, other: Floats) -> tuple[float, list[float]]:
    """Relative difference of two means over the same users, and its 95% interval by the delta method."""
    found = float(one.mean() / other.mean()) - 1
    rest = one - (1 + found) * other
    error = float(rest.std(ddof=1) / np.sqrt(len(rest)) / other.mean())
    half = float(t.ppf(0.975, len(rest) - 1)) * error
    return round(found, 4), [round(found - half, 4), round(found + half, 4)]


if __name__ == "__main__":
    main()
