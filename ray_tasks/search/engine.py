"""What every way to search has in common: its lists, its interface, and how it reads what users have seen."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Ints, Rows

Vectors = NDArray[np.float32]
"""One vector per row, (rows, dimensions)."""
Positions = NDArray[np.int32]
"""Places of items in the catalogue: half the memory of Ints, of which lists of all users are made."""


class Lists(NamedTuple):
    """Each user's k items, best first, and their scores, both (users, k); -1 and -infinity where there are no more."""

    positions: Positions
    scores: Vectors


class Engine(Protocol):
    """Items prepared for many searches. Inputs are checked before they come here."""

    def search(self, users: Vectors, k: int, seen: Rows | None, threads: int) -> Lists:
        """Lists of `users`, without what they have seen; k is at most the number of items."""
        ...


def part_of(seen: Rows, start: int, stop: int) -> Rows:
    """The rows from `start` to `stop`, each by ascending position, as arrays without gaps.

    Those that are in order already are not copied.
    """
    offsets = seen.offsets[start : stop + 1]
    items = np.ascontiguousarray(seen.items[offsets[0] : offsets[-1]])
    offsets = offsets - offsets[0]
    falls = np.flatnonzero(items[1:] < items[:-1]) + 1
    part = Rows(offsets, items)
    return part if np.isin(falls, offsets).all() else Rows(offsets, items[np.lexsort((items, part.row_of))])


def columns_of(seen: Rows, positions: Positions) -> tuple[Ints, Ints]:
    """Rows of `seen`, and where among the ascending `positions` their items stand; without those that are not there."""
    at = np.searchsorted(positions, seen.items)
    there = np.flatnonzero(positions[np.minimum(at, len(positions) - 1)] == seen.items)
    return seen.row_of[there], at[there]
