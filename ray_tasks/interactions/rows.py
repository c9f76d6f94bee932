"""Ragged rows of item positions, and top lists with a total order: the arrays that retrieval works on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
"""Scores of a block of users for the whole catalogue, (users, items); NaN where a source has nothing to say."""


GROUPS = 8
"""Groups for each place of a list, in which its least score is looked for."""


@dataclass(frozen=True)
class Rows:
    """Row r holds `items[offsets[r]:offsets[r + 1]]`: positions in the catalogue, in a meaningful order."""

    offsets: Ints
    items: Ints

    @classmethod
    def of(cls, row: "NDArray[np.integer[Any]]", items: "NDArray[np.integer[Any]]", n_rows: int) -> "Rows":
        """From parallel arrays that are already sorted by row."""
        return cls(ends(np.bincount(row, minlength=n_rows)), np.asarray(items, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Ints:
        return self.items[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> Ints:
        """Items per row."""
        return np.diff(self.offsets)

    @property
    def row_of(self) -> Ints:
        """Row of each item."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def position_of(self) -> Ints:
        """Place of each item within its row, from 0."""
        return np.arange(len(self.items)) - np.repeat(self.offsets[:-1], self.lengths)

    def take(self, rows: Ints) -> "Rows":
        """The given rows, in the given order. All of them as they are cost nothing."""
        if len(rows) == len(self) and np.array_equal(rows, np.arange(len(self))):
            return self
        lengths = self.lengths[rows]
        offsets = ends(lengths)
        chosen = np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        chosen += np.arange(offsets[-1])
        return Rows(offsets, self.items[chosen])

    def at(self, rows: Ints) -> "Rows":
        """The given rows, in the given order; an empty one in the place of -1."""
        return Rows(np.append(self.offsets, self.offsets[-1]), self.items).take(rows) if -1 in rows else self.take(rows)

    def weighted(self, n_items: int, half_life: float) -> "csr_matrix[Any]":
        """Sparse (rows, items) weights that halve every `half_life` positions; 0 weighs all alike."""
        weights = decay(self.position_of, half_life).astype(np.float32)
        return csr_matrix((weights, self.items, self.offsets), shape=(len(self), n_items))


def ends(lengths: Ints) -> Ints:
    """Where rows of such lengths end, one after the other, after a 0: the offsets of `Rows`."""
    return np.append(0, np.cumsum(lengths, dtype=np.int64))


def places(wanted: NDArray[np.object_], ids: NDArray[np.object_]) -> Ints:
    """Where each of the wanted ids stands among `ids`; -1 where it does not."""
    found = pc.index_in(pa.array(wanted, pa.string()), value_set=pa.array(ids, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def decay(position: Ints, half_life: float) -> Floats:
    """Weight of a history item by its position, 0 for the most recent one."""
    return 0.5 ** (position / half_life) if half_life else np.ones(len(position))


def top_k(scores: Scores, k: int) -> Ints:
    """Positions of each row's k best scores: score descending, ties by position; -1 where fewer have a score.

    A score of NaN or -inf is no score.
    """
    best = np.full((len(scores), k), -1, dtype=np.int64)
    k_here = min(k, scores.shape[1])
    if not k_here:
        return best
    filled, floors = _floored(scores, k_here)
    for row, (values, floor) in enumerate(zip(filled, floors, strict=True)):
        among = np.flatnonzero((values >= floor) & (values > -np.inf))
        chosen = among[np.argsort(-values[among], kind="stable")][:k]
        best[row, : len(chosen)] = chosen
    return best


def _floored(scores: Scores, k: int) -> tuple[Scores, Scores]:
    """The scores, -inf where there is none, and of each row a value that its k-th best is not below.

    The k-th best of the maxima of groups of columns: there are far fewer of them to part than scores.
    """
    rows, columns = scores.shape
    size = max(1, columns // (GROUPS * k))
    groups = -(-columns // size)
    filled = np.full((rows, groups * size), -np.inf, dtype=scores.dtype)
    np.copyto(filled[:, :columns], scores, where=~np.isnan(scores))
    best = filled.reshape(rows, size, groups).max(axis=1)
    return filled, np.partition(best, -k, axis=1)[:, -k]


def numbers_within(sorted_users: "NDArray[np.integer[Any]]") -> Ints:
    """1, 2, ... within each user, from users that are sorted."""
    return np.arange(len(sorted_users)) - np.searchsorted(sorted_users, sorted_users) + 1


def steady(scores: NDArray[Any]) -> Scores:
    """Scores as float32 with 16 significant bits.

    The last bits of a sum depend on how many threads summed; they must not decide an order, nor make a rerun differ.
    """
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.uint32)
    rounded = ((bits + np.uint32(0x80)) & np.uint32(0xFFFFFF00)).view(np.float32)
    return np.where(np.isfinite(scores), rounded, scores).astype(np.float32, copy=False)


def plain_product(left: NDArray[np.float32], right: NDArray[np.float32], digits: int = 6) -> Scores:
    """A matrix product in double precision, rounded to so many digits.

    The last bits of a product depend on how many rows are multiplied at once. Near zero they are not small against
    the value, so that significant bits (`steady`) are no help there: a user's score must not depend on the block.
    """
    return np.round(left.astype(np.float64) @ right.astype(np.float64), digits).astype(np.float32)
