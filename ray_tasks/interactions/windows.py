"""Three views of the same log: what was known, whom to serve, and (offline) what they took next.

Window `validation` knows train; `test` knows train and validation; `serving` knows everything before as_of.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ray_tasks.interactions.rows import Ints, Rows, ends, places
from ray_tasks.interactions.stated import Stated
from schemas.batches import in_batches
from schemas.config import RunConfig
from schemas.errors import LakeError
from schemas.lake import Snapshot

SPLITS = ("train", "validation", "test")
WINDOWS = {"validation": 1, "test": 2, "serving": 3}
"""How many of the splits a window knows."""
READ = ["user_id", "item_id", "timestamp", "rating", "split"]
KINDS = (np.int32, np.int32, np.int64, np.int8, bool)
"""Kinds of a log's columns: user, item, time, split, relevant."""
AT_ONCE = 10_000
"""Users whose events are sorted, or whose future is compared with their histories, at once."""
DAY = 86_400_000_000
"""A day in microseconds."""


@dataclass(frozen=True)
class Log:
    """Interactions as parallel arrays, one entry per event; users and items are positions in sorted id arrays.

    The integers are no wider than they need be: every task that learns from the log holds all of it.
    """

    user_ids: NDArray[np.object_]
    item_ids: NDArray[np.object_]
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: Ints
    split: NDArray[np.int8]
    relevant: NDArray[np.bool_]

    def where(self, mask: NDArray[np.bool_]) -> "Log":
        """The events that a mask keeps; ids stay. One that keeps all copies nothing."""
        if mask.all():
            return self
        columns = ("user", "item", "time", "split", "relevant")
        return replace(self, **{name: getattr(self, name)[mask] for name in columns})

    def histories(self) -> Rows:
        """Per user the distinct items, most recent first, ties by item_id."""
        user, item, time = self.user, self.item, self.time
        if not _in_order(user, item, time):  # a log that `encode` read is
            order = np.lexsort((time, item, user))
            user, item, time = user[order], item[order], time[order]
        cuts = np.searchsorted(user, np.arange(AT_ONCE, len(self.user_ids), AT_ONCE))
        blocks = zip(np.split(user, cuts), np.split(item, cuts), np.split(time, cuts), strict=True)
        lengths, items = np.zeros(len(self.user_ids), dtype=np.int64), []
        for block in blocks:
            found, taken = _latest_first(*block)
            lengths += np.bincount(found, minlength=len(lengths))
            items.append(taken)
        return Rows(ends(lengths), np.concatenate(items, dtype=np.int64))

    def pairs(self) -> "csr_matrix[np.float32]":
        """Sparse (users, items) of ones."""
        return self.histories().weighted(len(self.item_ids), 0)

    @property
    def end(self) -> int:
        """Microsecond after the last event. Ages count back from here, so that a log that ended long ago has a past."""
        return int(self.time.max(initial=0)) + 1


@dataclass(frozen=True)
class Window:
    """What was known (`log`), and for the users to serve their ids, histories and unseen targets.

    `targets` is None for serving. Users are sorted by id. `stated` is what those without a history said before.
    """

    name: str
    log: Log
    user_ids: NDArray[np.object_]
    history: Rows
    targets: Rows | None
    stated: Stated = field(default_factory=Stated.none)

    def take(self, rows: Ints) -> "Window":
        """The window for some of its users, in the given order."""
        targets = self.targets.take(rows) if self.targets is not None else None
        return replace(self, user_ids=self.user_ids[rows], history=self.history.take(rows), targets=targets)


def encode(splits: ds.Dataset, items: pa.Table, before: datetime, min_rating: float | None = None) -> Log:
    """The log of the tables `splits` and `items`, events before `before` only, by user, item and time.

    A target is relevant unless it is rated below `min_rating`. Ids become positions batch by batch: of a log of any
    size, only a batch is there in words. Raises LakeError when an event's item is not in `items`.
    """
    users, count = [], 0
    for batch in _early(splits, ["user_id", "timestamp"], before):
        users.append(pc.unique(batch["user_id"]))
        count += len(batch)
    user_ids = pc.unique(pa.chunked_array(users, pa.string())).sort()
    item_ids = items["item_id"].combine_chunks().sort()
    columns, at = [np.empty(count, dtype=kind) for kind in KINDS], 0
    for batch in _early(splits, READ, before):
        for column, part in zip(columns, _positions(batch, user_ids, item_ids, min_rating), strict=True):
            column[at : at + len(batch)] = part
        at += len(batch)
    pa.default_memory_pool().release_unused()
    user, item, time, *_ = columns
    if strangers := int((item < 0).sum()):
        raise LakeError(f"{strangers} rows of splits name items that the items table does not hold")
    order = np.lexsort((time, item, user))
    del user, item, time
    ids = (found.to_numpy(zero_copy_only=False) for found in (user_ids, item_ids))
    return Log(*ids, *(columns.pop(0)[order] for _ in KINDS))  # one column at a time is there twice


def read_log(splits: Snapshot, items: Snapshot, config: RunConfig) -> Log:
    """A night's log, from its `splits` and `items`."""
    return encode(splits.dataset(), items.read(["item_id"]), config.as_of, config.evaluation.min_rating)


def _early(splits: ds.Dataset, names: list[str], before: datetime) -> Iterator[pa.RecordBatch]:
    """Events before a moment, batch by batch."""
    early = pc.field("timestamp") < pa.scalar(before, splits.schema.field("timestamp").type)
    return (batch.filter(early) for batch in in_batches(splits, names))


def _positions(
    batch: pa.RecordBatch, user_ids: pa.Array, item_ids: pa.Array, min_rating: float | None
) -> tuple[NDArray[Any], ...]:
    """Columns of a log; -1 for an item that is not there."""
    relevant = np.ones(len(batch), dtype=bool)
    if min_rating is not None:
        relevant = ~pc.fill_null(pc.less(batch["rating"], min_rating), False).to_numpy(zero_copy_only=False)
    return (
        _integers(pc.index_in(batch["user_id"], value_set=user_ids), np.int32),
        _integers(pc.index_in(batch["item_id"], value_set=item_ids), np.int32),
        _integers(batch["timestamp"].cast(pa.int64()), np.int64),
        _integers(pc.index_in(batch["split"], value_set=pa.array(SPLITS)), np.int8),
        relevant,
    )


def _integers(column: pa.Array, kind: type[np.integer[Any]]) -> NDArray[Any]:
    return np.asarray(pc.fill_null(column, -1).to_numpy(), dtype=kind)


def window(log: Log, name: str, served: NDArray[np.object_] | None = None, stated: Stated | None = None) -> Window:
    """One window of the log. Serving serves the users named in `served`, also those whom the log does not know; others
    those with an unseen target.

    `stated` is what users said before `as_of`; a window of the past knows of it what was said before it began.
    """
    known = log.where(log.split < WINDOWS[name])
    histories, said = known.histories(), stated or Stated.none()
    if name == "serving":
        user_ids = log.user_ids if served is None else np.unique(served)
        view = Window(name, known, user_ids, histories.at(places(user_ids, log.user_ids)), None)
    else:
        targets = _unseen(log.where((log.split == WINDOWS[name]) & log.relevant), histories)
        users, said = np.flatnonzero(targets.lengths), said.before(known.end)
        view = Window(name, known, log.user_ids[users], histories.take(users), targets.take(users))
    return replace(view, stated=said.among(view.user_ids[view.history.lengths == 0]))


def _latest_first(user: NDArray[np.int32], item: NDArray[np.int32], time: Ints) -> tuple[NDArray[np.int32], ...]:
    """Users and their distinct items, most recent first, ties by item, of events by user, item and time."""
    last = np.ones(len(user), dtype=bool)
    last[:-1] = (np.diff(user) != 0) | (np.diff(item) != 0)
    user, item, time = user[last], item[last], time[last]
    order = np.lexsort((-time, user))  # stable: ties stay by item
    return user[order], item[order]


def _in_order(*columns: NDArray[np.integer[Any]]) -> bool:
    """Whether the rows ascend by the first column, ties by the next."""
    tied = np.ones(max(len(columns[0]) - 1, 0), dtype=bool)
    ascends = ~tied
    for column in columns:
        ascends |= tied & (column[:-1] < column[1:])
        tied &= column[:-1] == column[1:]
    return bool((ascends | tied).all())


def _unseen(future: Log, histories: Rows) -> Rows:
    """Distinct items of the future that are not in the user's history, by user and item."""
    width = len(future.item_ids)
    pairs = np.unique(future.user.astype(np.int64) * width + future.item)
    firsts = np.arange(0, len(histories), AT_ONCE)  # what a comparison takes is then the same however long the log
    parts = np.split(pairs, np.searchsorted(pairs, firsts[1:] * width))
    new = np.concatenate([pairs[:0], *(_new(part, histories, width) for part in parts)])
    return Rows.of(new // width, new % width, len(histories))


def _new(pairs: Ints, histories: Rows, width: int) -> Ints:
    """Those of the ascending pairs, user * width + item, whose item is not in the user's history."""
    users = np.unique(pairs // width)
    known = histories.take(users)
    taken = np.append(np.sort(users[known.row_of] * width + known.items), -1)  # none of the pairs is below zero
    return pairs[taken[np.searchsorted(taken[:-1], pairs)] != pairs]
