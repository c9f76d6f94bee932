"""Search by the compiled kernel: how it is found, how items are packed for it, and which thread takes which users.

_topk.c is built when Nightrec is installed, if there is a C compiler. It is no module of Python's: it is called through
ctypes, which needs no headers of Python to build, and lets other threads run meanwhile.
"""

import ctypes
import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Rows
from ray_tasks.search.engine import Lists, Positions, Vectors, part_of

INTERFACE = 3
"""`topk_interface` of the _topk.c that this module calls."""
ROWS, COLUMNS = 6, 16
"""Users and items of a tile that the kernel holds in registers."""
LINE = 64
"""Bytes of a cache line."""
CACHE = 192 * 2**10
"""Bytes of users' vectors that a thread works on: with the rest, they stay in an L2 cache of 256 KB."""
FEWEST = 48
"""Users at once that a long vector does not go below: every pass over the items must serve so many."""
ROOM = 4
"""Places in a user's buffer for every one in the list: so many times as many items pass until it is looked through."""
BUFFERS = 4 * 2**20
"""Bytes that a thread's buffers may take: with long lists, fewer users are searched at once."""


@cache
def library() -> ctypes.CDLL:
    """The compiled kernel. Raises ImportError, with the reason, where there is none that can be used."""
    names = [Path(__file__).with_name(f"_topk{suffix}") for suffix in EXTENSION_SUFFIXES]
    path = next((name for name in names if name.is_file()), None)
    if path is None:
        raise ImportError("the compiled kernel was not built; with a C compiler, install Nightrec again")
    try:
        found = ctypes.CDLL(str(path))
        interface = ctypes.c_int.in_dll(found, "topk_interface").value
    except (OSError, ValueError) as error:
        raise ImportError(f"the compiled kernel cannot be loaded: {error}") from error
    if interface != INTERFACE:
        raise ImportError(f"the compiled kernel is of interface {interface}, not {INTERFACE}; install Nightrec again")
    if not found.topk_fits():
        raise ImportError("this processor has no AVX2 and FMA")
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    vectors, seen, lists = (number, number), (pointer, pointer), (number, number, pointer, pointer)
    found.topk_block.argtypes = (pointer, *vectors, pointer, pointer, number, *seen, *lists)
    users, items = (pointer, pointer, pointer, *vectors), (pointer, pointer, pointer, pointer, number)
    if found.topk_screens():
        found.topk_screened.argtypes = (*users, *items, *seen, *lists)
    return found


class CompiledEngine:
    """See Engine. The items are packed once; a thread needs a few MB beside them, whatever the number of users.

    `block` is the users at once; no result depends on it.
    """

    def __init__(self, items: Vectors, positions: Positions, *, block: int | None = None) -> None:
        self._kernel, self._positions, self._given = library(), positions, block
        self._panels: NDArray[Any] = packed(items, positions)

    def search(self, users: Vectors, k: int, seen: Rows | None, threads: int) -> Lists:
        """See Engine. Raises MemoryError."""
        lists = Lists(np.empty((len(users), k), np.int32), np.empty((len(users), k), np.float32))
        size = self._given or self._users_at_once(len(users), users.shape[1], k, threads)
        starts = iter(range(0, len(users), size))  # shared: each start is handed out once, to whoever is free

        def work(_: int) -> None:
            for start in starts:
                self._search_block(users, slice(start, min(start + size, len(users))), seen, lists)

        if threads == 1:
            work(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, range(threads)))
        return lists

    def _users_at_once(self, n: int, dimensions: int, k: int, threads: int) -> int:
        return users_at_once(n, 4 * dimensions, k, threads, CACHE, ROWS)

    def _search_block(self, users: Vectors, block: slice, seen: Rows | None, lists: Lists) -> None:
        own = np.ascontiguousarray(users[block])
        part = part_of(seen, block.start, block.stop) if seen is not None else None
        k = lists.positions.shape[1]
        positions, scores = np.empty((len(own), k), np.int32), np.empty((len(own), k), np.float32)
        known = (part.items.ctypes.data, part.offsets.ctypes.data) if part is not None else (None, None)
        if self._fill(own, known, (k, room(k), positions.ctypes.data, scores.ctypes.data)):
            raise MemoryError(f"exact search: no memory for the buffers of {len(own)} users with lists of {k} items")
        best = np.argsort(-scores, axis=1, kind="stable")  # they come by position, which ties keep
        lists.positions[block] = np.take_along_axis(positions, best, axis=1)
        lists.scores[block] = np.take_along_axis(scores, best, axis=1)

    def _fill(self, own: Vectors, seen: tuple[int | None, int | None], lists: tuple[int, ...]) -> int:
        """Lists of users by the kernel; what it returns."""
        items = (self._panels.ctypes.data, self._positions.ctypes.data, len(self._positions))
        return int(self._kernel.topk_block(own.ctypes.data, *own.shape, *items, *seen, *lists))


def room(k: int) -> int:
    """Places in the buffer of a user with a list of k; always more than k."""
    return max(ROOM * k, LINE)


def users_at_once(n: int, each: int, k: int, threads: int, cache: int, rows: int) -> int:
    """Users of one call, of so many bytes each: whole tiles, as many as the cache holds, a share for every thread."""
    most = min(max(cache // each, FEWEST), BUFFERS // (8 * room(k)), -(-n // threads))
    return -(-max(most, 1) // rows) * rows


def packed(items: Vectors, positions: Positions) -> Vectors:
    """(panels, dimensions, 16): the items at the positions, 16 side by side; zeros fill the last panel.

    Panels begin at cache lines, so that each dimension of a panel is one line.
    """
    count, dimensions, at_once = -(-len(positions) // COLUMNS), items.shape[1], 256
    panels = aligned((count, dimensions, COLUMNS), np.float32)
    for start in range(0, count, at_once):  # in parts: what is copied twice stays small
        part = panels[start : start + at_once]
        chosen = positions[start * COLUMNS : (start + len(part)) * COLUMNS]
        rows = np.zeros((len(part) * COLUMNS, dimensions), np.float32)
        rows[: len(chosen)] = items[chosen]
        part[:] = rows.reshape(-1, COLUMNS, dimensions).transpose(0, 2, 1)
    return panels


def aligned(shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
    """An array of numbers of 4 bytes that begins at a cache line."""
    size = math.prod(shape)
    whole = np.empty(size + LINE // 4, kind)
    skipped = -whole.ctypes.data % LINE // 4
    return whole[skipped : skipped + size].reshape(shape)
