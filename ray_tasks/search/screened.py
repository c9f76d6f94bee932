"""Search by the compiled kernel on processors with products of bfloat16 (AVX512-BF16), which take half the time.

What rounding takes from a vector is known, so that the product of the rounded ones tells a score within a known
distance: |u v - u' v'| <= |u - u'| |v| + (|u| + |u - u'|) |v - v'| by Cauchy-Schwarz, beside the rounding of sums. Only
scores that may reach the list by this are computed, in float32: the lists are exact.
"""

import numpy as np
from numpy.typing import NDArray

from ray_tasks.search.engine import Positions, Vectors
from ray_tasks.search.kernel import COLUMNS, CompiledEngine, aligned, library, users_at_once

TALL = 24
"""Users of a tile that the kernel holds in registers."""
CACHE = 640 * 2**10
"""Bytes of users' vectors that a thread works on: processors with AVX512-BF16 have an L2 cache of at least 1 MB."""
MARGIN = 1.001
"""For the rounding of the bounds themselves."""

Halves = NDArray[np.uint16]


def screens() -> bool:
    """Whether the kernel was built with products of bfloat16, and the processor has them."""
    try:
        return bool(library().topk_screens())
    except ImportError:
        return False


class ScreenedEngine(CompiledEngine):
    """See Engine. The items are rounded and packed once, half the size of the vectors, which are kept as they are."""

    def __init__(self, items: Vectors, positions: Positions, *, block: int | None = None) -> None:
        self._kernel, self._positions, self._given = library(), positions, block
        self._items = np.ascontiguousarray(items)
        self._panels, self._reach = panels_of(self._items, positions)

    def _users_at_once(self, n: int, dimensions: int, k: int, threads: int) -> int:
        return users_at_once(n, 6 * dimensions, k, threads, CACHE, TALL)

    def _fill(self, own: Vectors, seen: tuple[int | None, int | None], lists: tuple[int, ...]) -> int:
        halves, lost = rounded(own)
        slack = slack_of(own, lost)
        return int(
            self._kernel.topk_screened(
                *(own.ctypes.data, halves.ctypes.data, slack.ctypes.data, *own.shape),
                *(self._items.ctypes.data, self._panels.ctypes.data, self._reach.ctypes.data),
                *(self._positions.ctypes.data, len(self._positions), *seen, *lists),
            )
        )


def rounded(rows: Vectors) -> tuple[Halves, NDArray[np.float64]]:
    """The rows in bfloat16, with a zero where their length is odd, and the length of what rounding took from each.

    To the nearest, ties to even; what would be infinite is cut off instead, and what a product takes for zero is zero.
    """
    bits = np.zeros((len(rows), rows.shape[1] + rows.shape[1] % 2), np.uint32)
    bits[:, : rows.shape[1]] = rows.view(np.uint32)
    near = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    exponent = np.uint32(0x7F800000)
    near = np.where((near & exponent) == exponent, bits, near) & np.uint32(0xFFFF0000)
    near = np.where((near & exponent) == 0, np.uint32(0), near)
    lost = rows - near.view(np.float32)[:, : rows.shape[1]]
    return (near >> np.uint32(16)).astype(np.uint16), lengths(lost)


def lengths(rows: Vectors) -> NDArray[np.float64]:
    """Length of each row."""
    return np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))


def slack_of(users: Vectors, lost: NDArray[np.float64]) -> Vectors:
    """(users, 2): how far a product may be from its score per length of an item, and of what rounding took from it."""
    own = lengths(users)
    of_sums = (users.shape[1] + 4) * 2.0**-23  # of both, in float32
    return single(np.stack([lost + of_sums * own, own + lost], axis=1))


def single(bounds: NDArray[np.float64]) -> Vectors:
    """Bounds in float32, none lower; infinite, so that every score is computed, where it has no such number."""
    with np.errstate(over="ignore"):
        return (bounds * MARGIN).astype(np.float32)


def panels_of(items: Vectors, positions: Positions) -> tuple[NDArray[np.uint32], Vectors]:
    """The items at the positions, 16 side by side, (panels, pairs, 16) with two dimensions in each number, and of each
    panel (panels, 2) the longest item and the most that rounding took from one.
    """
    count, pairs, at_once = -(-len(positions) // COLUMNS), -(-items.shape[1] // 2), 256
    panels = aligned((count, pairs, COLUMNS), np.uint32)
    reach = np.zeros((count, 2), np.float32)
    for start in range(0, count, at_once):
        part = panels[start : start + at_once]
        chosen = positions[start * COLUMNS : (start + len(part)) * COLUMNS]
        rows = np.zeros((len(part) * COLUMNS, items.shape[1]), np.float32)
        rows[: len(chosen)] = items[chosen]
        halves, lost = rounded(rows)
        part[:] = halves.view(np.uint32).reshape(-1, COLUMNS, pairs).transpose(0, 2, 1)
        most = (side.reshape(-1, COLUMNS).max(axis=1) for side in (lengths(rows), lost))
        reach[start : start + len(part)] = single(np.stack(list(most), axis=1))
    return panels, reach
