"""Search by the compiled kernel: how it is found, how items are packed for it, and which thread takes which users.

_topk.c is built when Nightrec is installed, if there is a C compiler. It is no module of Python's: it is called through
ctypes, which needs no headers of Python to build, and lets other threads run meanwhile.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np

from ray_tasks.interactions.rows import Rows
from ray_tasks.search.engine import Lists, Positions, Vectors, part_of

INTERFACE = 2
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
    users, items, seen = (pointer, number, number), (pointer, pointer, number), (pointer, pointer)
    found.topk_block.argtypes = (*users, *items, *seen, number, number, pointer, pointer)
    return found


class CompiledEngine:
    """See Engine. The items are packed once; a thread needs a few MB beside them, whatever the number of users.

    `block` is the users at once; no result depends on it.
    """

    def __init__(self, items: Vectors, positions: Positions, *, block: int | None = None) -> None:
        self._kernel = library()
        self._positions, self._panels = positions, packed(items, positions)
        self._block = block

    def search(self, users: Vectors, k: int, seen: Rows | None, threads: int) -> Lists:
        """See Engine. Raises MemoryError."""
        lists = Lists(np.empty((len(users), k), np.int32), np.empty((len(users), k), np.float32))
        size = self._block or users_at_once(len(users), users.shape[1], k, threads)
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

    def _search_block(self, users: Vectors, block: slice, seen: Rows | None, lists: Lists) -> None:
        own = np.ascontiguousarray(users[block])
        part = part_of(seen, block.start, block.stop) if seen is not None else None
        k = lists.positions.shape[1]
        positions, scores = np.empty((len(own), k), np.int32), np.empty((len(own), k), np.float32)
        failed = self._kernel.topk_block(
            *(own.ctypes.data, *own.shape),
            *(self._panels.ctypes.data, self._positions.ctypes.data, len(self._positions)),
            *((part.items.ctypes.data, part.offsets.ctypes.data) if part is not None else (None, None)),
            *(k, room(k), positions.ctypes.data, scores.ctypes.data),
        )
        if failed:
            raise MemoryError(f"exact search: no memory for the buffers of {len(own)} users with lists of {k} items")
        best = np.argsort(-scores, axis=1, kind="stable")  # they come by position, which ties keep
        lists.positions[block] = np.take_along_axis(positions, best, axis=1)
        lists.scores[block] = np.take_along_axis(scores, best, axis=1)


def room(k: int) -> int:
    """Places in the buffer of a user with a list of k; always more than k."""
    return max(ROOM * k, LINE)


def users_at_once(n: int, dimensions: int, k: int, threads: int) -> int:
    """Users of one call: whole tiles, as many as the caches hold, and for few users a share for every thread."""
    cached = max(CACHE // (4 * dimensions), FEWEST)
    most = min(cached, BUFFERS // (8 * room(k)), -(-n // threads))
    return -(-max(most, 1) // ROWS) * ROWS


def packed(items: Vectors, positions: Positions) -> Vectors:
    """(panels, dimensions, 16): the items at the positions, 16 side by side; zeros fill the last panel.

    Panels begin at cache lines, so that each dimension of a panel is one line.
    """
    count, dimensions, at_once = -(-len(positions) // COLUMNS), items.shape[1], 256
    size = count * dimensions * COLUMNS
    whole = np.empty(size + LINE // 4, np.float32)
    skipped = -whole.ctypes.data % LINE // 4
    panels = whole[skipped : skipped + size].reshape(count, dimensions, COLUMNS)
    for start in range(0, count, at_once):  # in parts: what is copied twice stays small
        part = panels[start : start + at_once]
        chosen = positions[start * COLUMNS : (start + len(part)) * COLUMNS]
        rows = np.zeros((len(part) * COLUMNS, dimensions), np.float32)
        rows[: len(chosen)] = items[chosen]
        part[:] = rows.reshape(-1, COLUMNS, dimensions).transpose(0, 2, 1)
    return panels
