"""Three views of the same log: what was known, whom to serve, and (offline) what they took next.

Window `validation` knows train; `test` knows train and validation; `serving` knows everything before as_of.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ray_tasks.interactions.rows import Ints, Rows, places
from ray_tasks.interactions.stated import Stated
from schemas.errors import LakeError
from schemas.night import Task

SPLITS = ("train", "validation", "test")
WINDOWS = {"validation": 1, "test": 2, "serving": 3}
"""How many of the splits a window knows."""
DAY = 86_400_000_000
"""A day in microseconds."""


@dataclass(frozen=True)
class Log:
    """Interactions as parallel arrays, one entry per event; users and items are positions in sorted id arrays."""

    user_ids: NDArray[np.object_]
    item_ids: NDArray[np.object_]
    user: Ints
    item: Ints
    time: Ints
    split: Ints
    relevant: NDArray[np.bool_]

    def where(self, mask: NDArray[np.bool_]) -> "Log":
        """The events that a mask keeps; ids stay."""
        columns = ("user", "item", "time", "split", "relevant")
        return replace(self, **{name: getattr(self, name)[mask] for name in columns})

    def histories(self) -> Rows:
        """Per user the distinct items, most recent first, ties by item_id."""
        order = np.lexsort((self.item, -self.time, self.user))
        user, item = self.user[order], self.item[order]
        _, first = np.unique(user * len(self.item_ids) + item, return_index=True)
        kept = np.sort(first)
        return Rows.of(user[kept], item[kept], len(self.user_ids))

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


def encode(splits: pa.Table, items: pa.Table, before: datetime, min_rating: float | None = None) -> Log:
    """The log of the tables `splits` and `items`, events before `before` only.

    A target is relevant unless it is rated below `min_rating`. Raises LakeError when an event's item is not in `items`.
    """
    splits = splits.filter(pc.less(splits["timestamp"], pa.scalar(before, splits["timestamp"].type)))
    user_ids = pc.unique(splits["user_id"]).sort()
    item_ids = items["item_id"].combine_chunks().sort()
    item = pc.index_in(splits["item_id"], value_set=item_ids)
    if item.null_count:
        raise LakeError(f"{item.null_count} rows of splits name items that the items table does not hold")
    relevant = np.ones(len(item), dtype=bool)
    if min_rating is not None:
        relevant = ~pc.fill_null(pc.less(splits["rating"], min_rating), False).to_numpy()
    return Log(
        user_ids.to_numpy(zero_copy_only=False),
        item_ids.to_numpy(zero_copy_only=False),
        _integers(pc.index_in(splits["user_id"], value_set=user_ids)),
        _integers(item),
        _integers(splits["timestamp"].cast(pa.int64())),
        _integers(pc.index_in(splits["split"], value_set=pa.array(SPLITS))),
        relevant,
    )


def read_log(task: Task) -> Log:
    """The night's log, from its `splits` and `items`."""
    splits = task.read("splits").read(["user_id", "item_id", "timestamp", "rating", "split"])
    items = task.read("items").read(["item_id"])
    return encode(splits, items, task.config.as_of, task.config.evaluation.min_rating)


def _integers(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.to_numpy(), dtype=np.int64)


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


def _unseen(future: Log, histories: Rows) -> Rows:
    """Distinct items of the future that are not in the user's history, by user and item."""
    width = len(future.item_ids)
    pairs = np.unique(future.user * width + future.item)
    new = pairs[~np.isin(pairs, histories.row_of * width + histories.items)]
    return Rows.of(new // width, new % width, len(histories))
