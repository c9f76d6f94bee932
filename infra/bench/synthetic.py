"""Made-up interactions that look like real ones, from 10^5 to 10^8 events, for benchmarks of scale.

    python infra/bench/synthetic.py --events 1e6 --to FOLDER                     a log with MovieLens 1M's marginals
    python infra/bench/synthetic.py --events 1e6 --to FOLDER --fit ML_1M         with those of a log of yours
    python infra/bench/synthetic.py --fit ML_1M                                  print these only
    python infra/bench/synthetic.py --day-after FOLDER --to NEXT                 the same log a day later

FOLDER then holds what a night reads with infra/configs/synthetic.yaml:

- `interactions.parquet`: user_id, item_id, rating, timestamp (Unix seconds). Rows lie user by user, in the order of
  ids, and each user's in the order of time; NOT in the order of time as a whole. No user has an item twice. A row group
  holds whole users.
- `items.parquet`: item_id, title, categories (joined by `|`), description, year; also items that nobody took.
- `users.parquet`: user_id, favourites (categories, joined by `|`).
- `synthetic.json`: the shape, the seed, the sizes, and the night that sees all events.

Same shape, events and seed, same rows: the chunk only says how many lie in memory and in a row group.
What the figures of a shape mean and how sizes grow: `synthetic_shape.py`.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from synthetic_catalogue import SCHEMA, catalogue, cluster_names, item_ids
from synthetic_events import Plan, draw_block, make_plan
from synthetic_fit import fit, read_events
from synthetic_next_day import changed
from synthetic_shape import DAY, Events, Ints, Shape

from schemas.errors import ConfigError

NIGHT = date(2026, 1, 1)
"""The night that sees all events: none is at or after its midnight UTC."""
INTERACTIONS = pa.schema(
    {"user_id": pa.string(), "item_id": pa.string(), "rating": pa.float64(), "timestamp": pa.int64()}
)
USERS = pa.schema({"user_id": pa.string(), "favourites": pa.string()})


def write(
    shape: Shape,
    events: int,
    folder: Path,
    seed: int = 1,
    chunk: int = 1_000_000,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Write a log of exactly `events` events to a folder, about `chunk` rows at a time; what synthetic.json says.

    `tell` hears how many events are written. Raises ConfigError where so many events do not fit the shape.
    """
    plan = make_plan(shape, events, seed)
    first = int(datetime(NIGHT.year, NIGHT.month, NIGHT.day, tzinfo=UTC).timestamp()) - round(shape.days * DAY)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("synthetic.json", "changed.json"):
        (folder / name).unlink(missing_ok=True)  # the former is written last: with it, the folder is whole
    with pq.ParquetWriter(folder / "items.parquet", SCHEMA) as items:
        for table in catalogue(plan, first):
            items.write_table(table)
    done, ids = 0, item_ids(plan.items)
    with (
        pq.ParquetWriter(folder / "interactions.parquet", INTERACTIONS) as log,
        pq.ParquetWriter(folder / "users.parquet", USERS) as users,
    ):
        for drawn, favourites in _chunks(plan, chunk):
            names = _user_ids(plan, int(drawn.user[0]), len(favourites))
            log.write_table(_rows(plan, drawn, names, ids, first), row_group_size=len(drawn.user))
            users.write_table(_described(plan, names, favourites))
            done += len(drawn.user)
            tell(done)
    sizes = {"events": done, "users": len(plan.per_user), "items": plan.items}
    about = {**sizes, "seed": seed, "night": NIGHT.isoformat(), "shape": asdict(shape)}
    (folder / "synthetic.json").write_text(json.dumps(about, indent=2))
    return about


def _chunks(plan: Plan, chunk: int) -> Iterator[tuple[Events, Ints]]:
    """Blocks joined until they have `chunk` events, and their users' favourites."""
    waiting: list[tuple[Events, Ints]] = []
    for number in range(plan.blocks):
        waiting.append(draw_block(plan, number))
        if number == plan.blocks - 1 or sum(len(drawn.user) for drawn, _ in waiting) >= chunk:
            columns = (np.concatenate([getattr(drawn, c.name) for drawn, _ in waiting]) for c in fields(Events))
            yield Events(*columns), np.concatenate([favourites for _, favourites in waiting])
            waiting = []


def _user_ids(plan: Plan, first: int, users: int) -> pa.Array:
    """Ids of equal length, which sort like their numbers."""
    width = len(str(len(plan.per_user) - 1))
    return pa.array([f"u{number:0{width}d}" for number in range(first, first + users)], pa.string())


def _rows(plan: Plan, drawn: Events, names: pa.Array, ids: pa.Array, first: int) -> pa.Table:
    user, item = names.take(pa.array(drawn.user - drawn.user[0])), ids.take(pa.array(plan.names[drawn.item]))
    return pa.table([user, item, drawn.rating, drawn.time + first], schema=INTERACTIONS)


def _described(plan: Plan, names: pa.Array, favourites: Ints) -> pa.Table:
    clusters = cluster_names(plan.shape.clusters)
    liked = ["|".join(dict.fromkeys(clusters[cluster] for cluster in row)) for row in favourites.tolist()]
    return pa.table([names, liked], schema=USERS)


def progress(events: int) -> Callable[[int], None]:
    """Prints a line at most every two seconds, and at the end."""
    began = said = time.monotonic()

    def tell(done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if done == events or now - said > 2:
            said = now
            print(f"{done:,} of {events:,} events, {done / max(now - began, 1e-9):,.0f} a second", flush=True)

    return tell


def with_settings(shape: Shape, settings: list[str]) -> Shape:
    """A shape with `name=number` settings applied. Raises ConfigError for what is none."""
    numbers = {field.name: type(getattr(shape, field.name)) for field in fields(shape)}
    parts = [setting.partition("=") for setting in settings]
    try:
        return replace(shape, **{name: {int: int, float: float}[numbers[name]](value) for name, _, value in parts})
    except (KeyError, ValueError) as error:
        known = ", ".join(name for name, kind in numbers.items() if kind is not tuple)
        raise ConfigError("--set", [f"expected name=number, found {' '.join(settings)}; names: {known}"]) from error


def main() -> None:
    """Fit, write, or go on by a day, as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, default=1e6, help="how many, for example 1e6 (the default)")
    parser.add_argument("--to", type=Path, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chunk", type=int, default=1_000_000, help="events in memory at once (default 1,000,000)")
    parser.add_argument("--fit", type=Path, help="folder of a real log, whose shape is printed and taken")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=NUMBER", help="growth=0.6 new_share=0.05 ...")
    parser.add_argument("--day-after", type=Path, metavar="FOLDER", help="write this made-up log a day later instead")
    parser.add_argument("--users", type=float, default=0.05, help="--day-after: share with new events (default 0.05)")
    parser.add_argument("--items", type=float, default=0.01, help="--day-after: share with new texts (default 0.01)")
    asked = parser.parse_args()
    if not (asked.fit or asked.to) or (asked.day_after and not asked.to):
        parser.error("nothing to do: name --to FOLDER, or --fit FOLDER")
    if asked.day_after:
        found = changed(asked.day_after, asked.to, asked.users, asked.items, asked.seed)
        print(f"{asked.to}: {len(found.users):,} users, {len(found.items):,} items, {found.events:,} events changed")
        return
    shape = with_settings(fit(read_events(asked.fit)) if asked.fit else Shape(), asked.set)
    if asked.fit:
        print(shape)
    if asked.to:
        about = write(shape, round(asked.events), asked.to, asked.seed, asked.chunk, progress(round(asked.events)))
        print(f"{asked.to}: {about['users']:,} users, {about['items']:,} items; night {about['night']} sees all events")


if __name__ == "__main__":
    main()
