"""A made-up log a day later: some users have new events, some items new texts, all else is as it was.

For benchmarks of what a night costs when little has changed. It goes through the log row group by row group.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.random import Generator, default_rng
from synthetic_catalogue import WORDS
from synthetic_events import NEXT_DAY
from synthetic_shape import DAY, Floats, Ints

from schemas.errors import ConfigError, SourceError

TRIES = 50


@dataclass(frozen=True)
class Changed:
    """Ids of the users with new events and of the items with new texts, in their order, and how many new events."""

    users: tuple[str, ...]
    items: tuple[str, ...]
    events: int


@dataclass(frozen=True)
class _Day:
    """What new events are drawn from: `popularity` is cumulative over `ids`, `ratings` over 1, 2, ..."""

    seed: int
    begins: int
    many: int
    ids: pa.Array
    popularity: Floats
    ratings: Floats
    users: dict[str, int]
    """Positions of the users that change, by id."""


def changed(
    folder: Path, to: Path, users: float = 0.05, items: float = 0.01, seed: int = 1, events: int = 4
) -> Changed:
    """Write to `to` what `folder` holds and a day more; also as `changed.json`.

    Exactly round(users x number) users have `events` new events each, of items they had not, during the day that
    begins when the folder's night does; they stand behind the user's other rows. Exactly round(items x number) items
    have a sentence and a category more. All other rows, and their order, stay. The result depends on the rows of
    `folder` and the seed, not on its row groups. Raises ConfigError for what is no share, SourceError for no such log.
    """
    shares = {f"{name}: 0 to 1, found {share}": 0 <= share <= 1 for name, share in (("users", users), ("items", items))}
    if not all(shares.values()) or to.resolve() == folder.resolve():
        other = [] if to.resolve() != folder.resolve() else [f"{to} is the folder itself; name another"]
        raise ConfigError("changed", [problem for problem, holds in shares.items() if not holds] + other)
    about = _about(folder)
    to.mkdir(parents=True, exist_ok=True)
    (to / "synthetic.json").unlink(missing_ok=True)
    shutil.copyfile(folder / "users.parquet", to / "users.parquet")
    new_texts = _write_items(folder, to, items, default_rng([seed, NEXT_DAY, 0]))
    day = _day(folder, about, users, seed, events)
    new = _write_interactions(folder, to, day)
    found = Changed(tuple(sorted(day.users)), new_texts, new)
    night = date.fromisoformat(about["night"]) + timedelta(days=1)
    (to / "changed.json").write_text(json.dumps(asdict(found)))
    about |= {"events": about["events"] + new, "night": night.isoformat()}
    (to / "synthetic.json").write_text(json.dumps(about, indent=2))
    return found


def _about(folder: Path) -> dict[str, Any]:
    path = folder / "synthetic.json"
    if not path.exists():
        raise SourceError(f"no {path.name} in {folder}: write a whole log there with synthetic.py first")
    return json.loads(path.read_text())


def _day(folder: Path, about: dict[str, Any], share: float, seed: int, many: int) -> _Day:
    ids = pq.read_table(folder / "items.parquet", columns=["item_id"])["item_id"].combine_chunks()
    users = pq.read_table(folder / "users.parquet", columns=["user_id"])["user_id"]
    chosen = default_rng([seed, NEXT_DAY, 1]).choice(len(users), round(share * len(users)), replace=False)
    log, counts = pq.ParquetFile(folder / "interactions.parquet"), np.ones(len(ids))
    for group in range(log.num_row_groups):
        counts += np.bincount(_codes(log.read_row_group(group, columns=["item_id"]), ids), minlength=len(ids))
    shares = np.cumsum(about["shape"]["ratings"])
    return _Day(
        seed=seed,
        begins=int(datetime.combine(date.fromisoformat(about["night"]), datetime.min.time(), UTC).timestamp()),
        many=many,
        ids=ids,
        popularity=np.cumsum(counts) / counts.sum(),
        ratings=shares / shares[-1],
        users={users[position].as_py(): position for position in chosen.tolist()},
    )


def _codes(table: pa.Table, ids: pa.Array) -> Ints:
    return pc.index_in(table["item_id"].combine_chunks(), value_set=ids).to_numpy().astype(np.int64)


def _write_items(folder: Path, to: Path, share: float, chance: Generator) -> tuple[str, ...]:
    """Copy the items, some of them with a category and a sentence more; the ids of these."""
    table = pq.read_table(folder / "items.parquet")
    columns = {name: table[name].to_pylist() for name in ("item_id", "categories", "description")}
    chosen = np.sort(chance.choice(len(table), round(share * len(table)), replace=False)).tolist()
    for place in chosen:
        had = columns["categories"][place].split("|")
        new = str(chance.choice([name for name in WORDS if name not in had] or list(WORDS)))
        columns["categories"][place] = "|".join(dict.fromkeys([*had, new]))
        columns["description"][place] += f" Now with more {new}: the {chance.choice(WORDS[new].split())}."
    for name in ("categories", "description"):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(columns[name], pa.string()))
    pq.write_table(table, to / "items.parquet")
    return tuple(columns["item_id"][place] for place in chosen)


def _write_interactions(folder: Path, to: Path, day: _Day) -> int:
    """Copy the log with the new events put in; how many they are."""
    source, new = pq.ParquetFile(folder / "interactions.parquet"), 0
    with pq.ParquetWriter(to / "interactions.parquet", source.schema_arrow) as target:
        for group in range(source.num_row_groups):
            rows = source.read_row_group(group)
            grown = _with_new(rows, day)
            target.write_table(grown, row_group_size=len(grown))
            new += len(grown) - len(rows)
    return new


def _with_new(rows: pa.Table, day: _Day) -> pa.Table:
    """A row group, which holds whole users, each new event behind its user's last row."""
    runs = pc.run_end_encode(rows["user_id"].combine_chunks())
    ends, names, items = runs.run_ends.to_numpy(), runs.values.to_pylist(), _codes(rows, day.ids)
    parts, places = [rows], [np.arange(len(rows))]
    for name, begin, end in zip(names, [0, *ends[:-1]], ends, strict=True):
        if name in day.users:
            chance = default_rng([day.seed, NEXT_DAY, 2, day.users[name]])
            item = _unseen(chance, day.popularity, set(items[begin:end].tolist()), day.many)
            rating = 1.0 + np.searchsorted(day.ratings, chance.random(len(item)), side="right")
            when = day.begins + np.sort(chance.integers(DAY, size=len(item)))
            columns = [
                pa.array([name] * len(item), pa.string()),
                day.ids.take(pa.array(item, pa.int64())),
                rating,
                when,
            ]
            parts.append(pa.table(columns, schema=rows.schema))
            places.append(np.full(len(item), end - 1))
    return pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(places), kind="stable")))


def _unseen(chance: Generator, popularity: Floats, seen: set[int], many: int) -> list[int]:
    """Up to `many` different items by popularity that were not seen; fewer only where no others are left."""
    found: dict[int, None] = {}
    for _ in range(TRIES):
        for item in np.searchsorted(popularity, chance.random(2 * many), side="right").tolist():
            if item not in seen and len(found) < many:
                found[item] = None
        if len(found) == many:
            return list(found)
    rest = [item for item in range(len(popularity)) if item not in seen and item not in found]
    return [*found, *chance.permutation(rest)[: many - len(found)].astype(int).tolist()]
