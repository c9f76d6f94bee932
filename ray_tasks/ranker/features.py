"""The ranker's features: what `candidates` holds, and how each score stands within the user's own list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Floats, Ints
from schemas.candidates_config import SOURCES
from schemas.tables.candidates import CANDIDATES

FUSION_DEPTH = 60
"""The constant of reciprocal-rank fusion (Cormack et al. 2009)."""
COLUMNS = (
    *(f"{source}_{kind}" for source in SOURCES for kind in ("score", "rank")),
    "user_count",
    "user_idle_days",
    "item_count",
    "item_recent_count",
    "item_week_count",
    "item_quarter_count",
    "item_year_count",
    "item_age_days",
    "item_idle_days",
)
NAMES = (
    *COLUMNS,
    *(f"{source}_{kind}" for source in SOURCES for kind in ("share_of_best", "deviation", "reciprocal_rank")),
    "fusion",
    "proposing_sources",
    "trend",
    "year_trend",
)
"""Names of the columns of `features`, in order."""
DATED = (
    "item_recent_count",
    "item_week_count",
    "item_quarter_count",
    "item_year_count",
    "item_age_days",
    "item_idle_days",
    "user_idle_days",
    "trend",
    "year_trend",
)
"""Features that tell the date: where users are cut at different times, they tell the future."""


@dataclass(frozen=True)
class Lists:
    """Candidate rows sorted by user and item, with where each user's list begins."""

    table: pa.Table
    starts: Ints

    @classmethod
    def of(cls, table: pa.Table) -> "Lists":
        """Candidates of one window, sorted unless they are: blocks of users come in order, and sorting takes a copy."""
        table = table.combine_chunks()
        if not _is_sorted(table):
            table = table.sort_by([("user_id", "ascending"), ("item_id", "ascending")]).combine_chunks()
        code = np.asarray(table["user_id"].combine_chunks().dictionary_encode().indices)
        changes = np.flatnonzero(np.diff(code, prepend=-1)) if len(code) else np.zeros(0)
        return cls(table, changes.astype(np.int64))

    @classmethod
    def none(cls) -> "Lists":
        """No lists at all."""
        return cls.of(CANDIDATES.schema.empty_table())

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> Ints:
        """Candidates per user."""
        return np.diff(self.starts, append=self.table.num_rows)

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources that proposed anything, in the order of SOURCES."""
        return tuple(s for s in SOURCES if self.table[f"{s}_rank"].null_count < self.table.num_rows)

    @property
    def user_of(self) -> Ints:
        """Number of the user of each row."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def user_ids(self) -> NDArray[np.object_]:
        """Users in order."""
        found: NDArray[np.object_] = self.table["user_id"].take(pa.array(self.starts)).to_numpy()
        return found

    def column(self, name: str) -> Floats:
        """A numeric column; null is NaN."""
        return np.asarray(self.table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)


def floors(lists: Lists, scores: Floats, k: int) -> Floats:
    """Each user's k-th best score; -inf for users with fewer. NaN is no score."""
    user = lists.user_of
    own = np.full((len(lists), int(lists.lengths.max(initial=0))), -np.inf)
    own[user, np.arange(len(user)) - lists.starts[user]] = np.where(np.isnan(scores), -np.inf, scores)
    if own.shape[1] <= k:
        return np.full(len(lists), -np.inf)
    found: Floats = np.partition(own, -k, axis=1)[:, -k]
    return found


def _is_sorted(table: pa.Table) -> bool:
    """True if rows come by user and item."""
    (user, before), (item, other) = ((column[1:], column[:-1]) for column in (table["user_id"], table["item_id"]))
    within = pc.and_(pc.equal(user, before), pc.greater_equal(item, other))
    return bool(pc.all(pc.or_(pc.greater(user, before), within), min_count=0).as_py())


def fusion(lists: Lists) -> Floats:
    """Reciprocal-rank fusion of all sources per row: robust, needs no training, knows no scales."""
    total = np.zeros(lists.table.num_rows)
    for source in SOURCES:  # one after the other: all at once, they are larger than the candidates
        total += np.nan_to_num(1.0 / (FUSION_DEPTH + lists.column(f"{source}_rank")))
    return total


def features(lists: Lists, names: Sequence[str] = NAMES) -> NDArray[np.float32]:
    """(rows, len(names)); NaN where there is no value, which the trees treat as a direction of its own."""
    values = np.empty((lists.table.num_rows, len(names)), dtype=np.float32)
    for name, column in zip(NAMES, _columns(lists), strict=True):
        if name in names:
            values[:, names.index(name)] = column
    return values


def _columns(lists: Lists) -> Iterator[NDArray[Any]]:
    """One after the other, because in double precision all of them are several times the candidates' size."""
    yield from (lists.column(name) for name in COLUMNS)
    for source in SOURCES:
        yield from _within_user(lists, lists.column(f"{source}_score"))
        yield 1.0 / (10 + np.nan_to_num(lists.column(f"{source}_rank"), nan=1_000))
    yield fusion(lists)
    yield np.sum([~np.isnan(lists.column(f"{source}_rank")) for source in SOURCES], axis=0)
    yield lists.column("item_week_count") / (lists.column("item_recent_count") + 1)
    yield lists.column("item_quarter_count") / (lists.column("item_year_count") + 1)


def _within_user(lists: Lists, score: Floats) -> list[NDArray[Any]]:
    """A score as share of the user's best one, and in standard deviations from the user's mean."""
    if not len(lists):
        return [score, score]
    known = ~np.isnan(score)
    count = np.maximum(np.add.reduceat(known.astype(float), lists.starts), 1)
    best = np.fmax.reduceat(score, lists.starts)
    mean = np.add.reduceat(np.where(known, score, 0), lists.starts) / count
    off = score - mean[lists.user_of]
    spread = np.sqrt(np.add.reduceat(np.where(known, off, 0) ** 2, lists.starts) / count)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = score / best[lists.user_of]
    return [np.where(np.isfinite(share), share, np.nan), off / (spread[lists.user_of] + 1e-9)]
