"""Candidate source `transitions`: what users took soon after an item (sequential rules; Ludewig and Jannach 2018)."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Floats, Ints, Rows, steady

CELLS = 200_000
"""Pairs of items that are counted at once."""


def fit_transitions(histories: Rows, core: Ints, steps: int) -> NDArray[np.float32]:
    """How much item j in a history speaks for i next, (core, core): 1/d for each user who took i d steps after j.

    `histories` hold each user's distinct items, most recent first; `steps` is the largest d; `core` are the positions
    of the items that the matrix covers. Divided by the square root of j's total, so that what everybody passes
    through does not drown the rest.
    """
    size, steps = len(core), min(steps, int(histories.lengths.max(initial=0)))
    place = np.full(int(max(histories.items.max(initial=-1), core.max(initial=-1))) + 1, size)
    place[core] = np.arange(size)
    item, reach = place[histories.items], np.minimum(histories.position_of, steps)
    order = np.lexsort((-reach, item))
    bounds = np.searchsorted(item[order], np.arange(size + 1))
    ahead = np.concatenate([np.full(steps, size), item])  # so that every event has so many before it
    found = np.zeros((size, size), dtype=np.float32)
    for j in range(size):
        events = order[bounds[j] : bounds[j + 1]]
        total = _followed(ahead, events + steps, reach[events], size)
        found[j] = steady(total / np.sqrt(max(total.sum(), 1)))
    return found


def _followed(ahead: Ints, events: Ints, reach: Ints, size: int) -> Floats:
    """By item, the sum of 1/d over the places `ahead` that lie d before one of the events, up to its reach.

    Events come by descending reach. Such as reach about as far are counted together, as rows of equal length; items
    numbered `size` are those that do not count.
    """
    total = np.zeros(size + 1)
    while len(reach) and reach[0]:
        longest = int(reach[0])
        rows = max(1, min(CELLS // longest, int(np.searchsorted(-reach, -longest / 2, side="right"))))
        items = sliding_window_view(ahead, longest)[events[:rows] - longest]
        distance = np.arange(longest, 0, -1)
        weights = np.where(distance <= reach[:rows, None], 1 / distance, 0)
        total += np.bincount(items.ravel(), weights.ravel(), minlength=size + 1)
        events, reach = events[rows:], reach[rows:]
    return total[:size]
