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
BLOCK = 50_000
"""Observed pairs of the users or items solved at once: with 64 dimensions, 25 MB."""
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
    In the basis of the eigenvectors of what all rows share, that part is diagonal, whatever a row's regularisation;
    rows of equally many observations are solved together, each as a system of that size or of the dimensions, the
    smaller one (by the push-through identity).
    """
    vectors = others.astype(np.float64)
    shared, basis = np.linalg.eigh(unobserved * (vectors.T @ vectors))
    turned, counts = vectors @ basis, np.diff(pairs.indptr)
    strength = l2 * (np.asarray(pairs.sum(axis=1), dtype=np.float64).ravel() + unobserved * len(others))
    found = np.zeros((pairs.shape[0], others.shape[1]))
    for count in np.unique(counts[counts > 0]):
        alike = np.flatnonzero(counts == count)
        for rows in np.array_split(alike, -(-len(alike) * count // BLOCK)):
            at = pairs.indptr[rows][:, None] + np.arange(count)
            root = np.sqrt(pairs.data[at].astype(np.float64))[..., None]
            alone = np.maximum(shared, 0) + strength[rows][:, None]
            found[rows] = _ridge(turned[pairs.indices[at]] * root, root, alone)
    return (found @ basis.T).astype(np.float32)


def _ridge(observed: NDArray[np.float64], wanted: NDArray[np.float64], alone: NDArray[np.float64]) -> Any:
    """(rows, d) solutions of (diag(alone) + X'X) x = X'y, X `observed` (rows, n, d), y `wanted` (rows, n, 1)."""
    n, dimensions = observed.shape[1:]
    turned = observed.transpose(0, 2, 1)
    if n > dimensions:
        return np.linalg.solve(turned @ observed + alone[:, :, None] * np.eye(dimensions), turned @ wanted)[..., 0]
    scaled = turned / alone[:, :, None]
    return (scaled @ np.linalg.solve(observed @ scaled + np.eye(n), wanted))[..., 0]
