"""From fitted sources to rows of `candidates`, one block of users at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Floats, Ints, Rows, Scores, places, top_k
from ray_tasks.interactions.stated import Stated
from ray_tasks.interactions.windows import DAY, Log, Window
from ray_tasks.retrieval.popularity import counts
from ray_tasks.retrieval.source import CandidateSource, TextSource
from schemas.tables.candidates import CANDIDATES


@dataclass(frozen=True)
class ItemFeatures:
    """Counts and ages of every catalogue item at the end of a log; ages are NaN for items never taken."""

    count: Ints
    recent_count: Ints
    week_count: Ints
    quarter_count: Ints
    year_count: Ints
    age_days: Scores
    idle_days: Scores

    @classmethod
    def of(cls, log: Log) -> "ItemFeatures":
        """From a log."""
        first = np.full(len(log.item_ids), np.inf)
        last = np.full(len(log.item_ids), np.inf)
        np.minimum.at(first, log.item, log.time)
        np.minimum.at(last, log.item, -log.time)
        total, recent, week, quarter, year = (counts(log, days).astype(np.int64) for days in (None, 30, 7, 90, 365))
        age, idle = (_finite((log.end - first) / DAY), _finite((log.end + last) / DAY))
        return cls(total, recent, week, quarter, year, age, idle)


@dataclass(frozen=True)
class Users:
    """Users to score: ids, histories, days since their last interaction (NaN if none) and unseen targets if known.

    `stated` is what those without a history said; it may speak of others as well.
    """

    user_ids: NDArray[np.object_]
    history: Rows
    idle_days: Scores
    targets: Rows | None
    stated: Stated = field(default_factory=Stated.none)

    @classmethod
    def of(cls, window: Window) -> "Users":
        """The window's users, in order of id."""
        last = np.full(len(window.log.user_ids) + 1, -np.inf)  # one more for those whom the log does not know
        np.maximum.at(last, window.log.user, window.log.time)
        idle = (window.log.end - last[places(window.user_ids, window.log.user_ids)]) / DAY
        return cls(window.user_ids, window.history, _finite(idle), window.targets, window.stated)

    def __len__(self) -> int:
        return len(self.user_ids)

    def part(self, start: int, size: int) -> "Users":
        """Up to `size` users from `start`."""
        return self.take(np.arange(start, min(start + size, len(self))))

    def take(self, rows: Ints) -> "Users":
        """The given ones, in the given order."""
        targets = self.targets.take(rows) if self.targets is not None else None
        return Users(self.user_ids[rows], self.history.take(rows), self.idle_days[rows], targets, self.stated)


def _finite(values: Floats) -> Scores:
    return np.where(np.isfinite(values), values, np.nan).astype(np.float32)


def scores_of(source: CandidateSource, users: Users) -> Scores:
    """A source's scores of a block of users: by their histories, or by what they said where they have none."""
    scores = source.score(users.history)
    if isinstance(source, TextSource):
        who, vectors = users.stated.of(users.user_ids)
        if len(who):
            scores[who] = source.score_texts(vectors)
    return scores


Catalogue = NDArray[np.bool_]
"""Per item position whether it may be recommended."""


def proposals(scores: Scores, history: Rows, k: int, catalogue: Catalogue | None = None) -> Ints:
    """Each user's k best unseen items of the catalogue with a positive score, best first; -1 fills up."""
    able = np.where(scores > 0, scores, np.float32(-np.inf))
    able[history.row_of, history.items] = -np.inf
    if catalogue is not None:
        able[:, ~catalogue] = -np.inf
    return top_k(able, k)


@dataclass(frozen=True)
class Scorer:
    """Everything that turns a block of users into candidate rows."""

    window: str
    sources: Mapping[str, CandidateSource]
    item_ids: NDArray[np.object_]
    features: ItemFeatures
    per_source: int
    catalogue: Catalogue | None = None

    def table(self, users: Users) -> pa.Table:
        """Rows of `candidates`, by user and item: the union of all proposals with every source's score."""
        scores = {name: scores_of(source, users) for name, source in self.sources.items()}
        best = {n: proposals(s, users.history, self.per_source, self.catalogue) for n, s in scores.items()}
        pairs, ranks = _union(best, len(self.item_ids))
        user, item = np.divmod(pairs, len(self.item_ids))
        columns = {
            "window": pa.repeat(self.window, len(user)),
            "user_id": pa.array(users.user_ids, pa.string()).take(pa.array(user)),
            "item_id": pa.array(self.item_ids, pa.string()).take(pa.array(item)),
            "user_count": users.history.lengths[user],
            "user_idle_days": users.idle_days[user],
            "item_count": self.features.count[item],
            "item_recent_count": self.features.recent_count[item],
            "item_week_count": self.features.week_count[item],
            "item_quarter_count": self.features.quarter_count[item],
            "item_year_count": self.features.year_count[item],
            "item_age_days": self.features.age_days[item],
            "item_idle_days": self.features.idle_days[item],
            "label": _labels(users.targets, user, item, len(self.item_ids)),
        }
        for name in scores:
            columns[f"{name}_score"] = scores[name][user, item]
            columns[f"{name}_rank"] = pa.array(ranks[name], pa.int32(), mask=ranks[name] == 0)
        rows = len(user)
        return pa.table({field.name: _column(columns.get(field.name), field.type, rows) for field in CANDIDATES.schema})


def _union(best: Mapping[str, Ints], n_items: int) -> tuple[Ints, dict[str, Ints]]:
    """All pairs that any source proposes, as user * n_items + item, ascending; and each source's ranks of them.

    Ranks count from 1; 0 where the source does not propose the pair.
    """
    lists = {name: np.nonzero(found >= 0) for name, found in best.items()}
    own = {name: user * n_items + best[name][user, place] for name, (user, place) in lists.items()}
    pairs = np.unique(np.concatenate(list(own.values())))
    ranks = {name: np.zeros(len(pairs), dtype=np.int64) for name in best}
    for name, (_, place) in lists.items():
        ranks[name][np.searchsorted(pairs, own[name])] = place + 1
    return pairs, ranks


def _labels(targets: Rows | None, user: Ints, item: Ints, n_items: int) -> pa.Array:
    if targets is None:
        return pa.nulls(len(user), pa.int32())
    taken = np.isin(user * n_items + item, targets.row_of * n_items + targets.items)
    return pa.array(taken.astype(np.int32))


def _column(values: pa.Array | NDArray[np.generic] | None, kind: pa.DataType, rows: int) -> pa.Array:
    """Arrow column in which NaN is null; all null for a source that is switched off."""
    if values is None:
        return pa.nulls(rows, kind)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    return pa.array(values, kind, from_pandas=True)
