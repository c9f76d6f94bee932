"""Candidate source `ials`: implicit-feedback matrix factorisation by alternating least squares.

Hu et al. 2008, with the regularisation by frequency and the small start of Rendle et al. 2022. A user's factors are
solved from the history when it is scored, so that nobody needs a refit and recency can weigh it.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ray_tasks.interactions.rows import Ints, Rows, Scores, plain_product

log = logging.getLogger("nightrec.candidates")

Factors = NDArray[np.float32]
BLOCK = 1_024
"""Users or items solved at once."""
COLLAPSED = 1e-6
"""Standard deviation of the items' factors below which they say nothing."""


@dataclass(frozen=True)
class Ials:
    """Factors (core, dimensions) of the items at the positions `core`: those that anybody took.

    `unobserved` is the weight of every pair that did not happen, against 1 for one that did; `l2` as fitted.
    """

    core: Ints
    items: Factors
    unobserved: float
    l2: float
    half_life: float
    n_items: int

    def score(self, history: Rows) -> Scores:
        """See CandidateSource: NaN for users without a core item and for items outside the core."""
        weights = history.weighted(self.n_items, self.half_life)[:, self.core]
        known = np.flatnonzero(np.diff(weights.indptr))
        scores: Scores = np.full((len(history), self.n_items), np.nan, dtype=np.float32)
        users = solve(weights[known], self.items, self.unobserved, self.l2)
        scores[np.ix_(known, self.core)] = plain_product(users, self.items.T)
        return scores


def fit_ials(
    histories: Rows, n_items: int, *, dimensions: int, unobserved: float, l2: float, sweeps: int = 10, seed: int = 0
) -> Ials:
    """Alternate between users and items. Warns when the factors have collapsed: a tie-break would do the ranking.

    Only users with a history and items that anybody took are counted: how many others there are, the log cannot know.
    """
    everything = histories.weighted(n_items, 0)
    core = np.flatnonzero(np.asarray(everything.sum(axis=0)).ravel())
    pairs = everything[np.flatnonzero(histories.lengths)][:, core]
    chance = np.random.default_rng(seed)
    items = (chance.normal(size=(len(core), dimensions)) * 0.1 / np.sqrt(dimensions)).astype(np.float32)
    by_item = pairs.T.tocsr()
    for _ in range(sweeps):
        users = solve(pairs, items, unobserved, l2)
        items = solve(by_item, users, unobserved, l2)
    if len(core) and float(items.std()) < COLLAPSED:
        log.warning("ials: the factors have collapsed at l2=%g; every item scores alike", l2)
    return Ials(core, items, unobserved, l2, 0, n_items)


def solve(pairs: "csr_matrix[Any]", others: Factors, unobserved: float, l2: float) -> Factors:
    """Each row's factors given the other side's: a ridge regression over observed and unobserved pairs.

    The regularisation of a row is `l2` times what it observes plus `unobserved` times everything (Rendle et al. 2022).
    """
    dimensions = others.shape[1]
    everything = unobserved * (others.T @ others)
    found = np.zeros((pairs.shape[0], dimensions), dtype=np.float32)
    weighted = np.asarray(pairs.sum(axis=1)).ravel()
    for start in range(0, pairs.shape[0], BLOCK):
        rows = pairs[start : start + BLOCK]
        left = np.repeat(everything[None], rows.shape[0], axis=0)
        strength = l2 * (weighted[start : start + BLOCK] + unobserved * len(others))
        left[:, np.arange(dimensions), np.arange(dimensions)] += strength[:, None].astype(np.float32)
        for row in range(rows.shape[0]):
            at = slice(rows.indptr[row], rows.indptr[row + 1])
            mine = others[rows.indices[at]]
            left[row] += (mine * rows.data[at][:, None]).T @ mine
        right = np.asarray(rows @ others)
        found[start : start + BLOCK] = np.linalg.solve(left, right[..., None])[..., 0]
    return found
