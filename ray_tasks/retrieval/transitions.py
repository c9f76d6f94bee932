"""Candidate source `transitions`: what users took soon after an item (sequential rules; Ludewig and Jannach 2018)."""

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from ray_tasks.interactions.rows import Ints, Rows, steady


def fit_transitions(histories: Rows, core: Ints, steps: int) -> "csr_matrix[Any]":
    """How much item j in a history speaks for i next, (core, core): 1/d for each user who took i d steps after j.

    `histories` hold each user's distinct items, most recent first; `steps` is the largest d; `core` are the positions
    of the items that the matrix covers. Divided by the square root of j's total, so that what everybody passes
    through does not drown the rest.
    """
    place = np.full(int(max(histories.items.max(initial=-1), core.max(initial=-1))) + 1, -1)
    place[core] = np.arange(len(core))
    item, user = place[histories.items], histories.row_of
    total: Any = csr_matrix((len(core), len(core)), dtype=np.float64)
    for step in range(1, min(steps, int(histories.lengths.max(initial=0)) - 1) + 1):
        later, earlier = item[:-step], item[step:]
        followed = (user[:-step] == user[step:]) & (later >= 0) & (earlier >= 0)
        pairs = (earlier[followed], later[followed])
        total = total + csr_matrix((np.full(followed.sum(), 1 / step), pairs), shape=total.shape)
    strength = np.sqrt(np.maximum(np.asarray(total.sum(axis=1)).ravel(), 1))
    weights = steady(total.data / np.repeat(strength, np.diff(total.indptr)))
    return csr_matrix((weights, total.indices, total.indptr), shape=total.shape)
