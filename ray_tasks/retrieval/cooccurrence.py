"""Candidate sources `ease` and `item_item`: both from one matrix of co-occurrence counts."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_matrix

from ray_tasks.interactions.rows import Ints, steady, top_k
from ray_tasks.interactions.windows import Log

log_ = logging.getLogger("nightrec.candidates")

SMALL = 0.01
"""Rounding in the inverse that EASE does not feel: on ML-1M with the least l2 tried, weights differ by 2e-5 (rms)."""


@dataclass(frozen=True)
class Cooccurrence:
    """Users who took both of two items, for the catalogue's core: the items with most users.

    `counts[j, i]` is exact; its diagonal is the number of users of each item.
    """

    core: Ints
    counts: NDArray[np.float32]
    n_items: int

    @classmethod
    def count(cls, log: Log, max_items: int, block: int = 1_000) -> "Cooccurrence":
        """From all histories of a log. Memory is `max_items` squared times 4 bytes."""
        pairs = log.pairs()
        users = np.asarray(pairs.sum(axis=0)).ravel()
        order = np.argsort(-users, kind="stable")
        core = np.sort(order[: min(max_items, int((users > 0).sum()))])
        if len(core) < (users > 0).sum():
            log_.warning("ease and item_item cover the %s items with most users", f"{len(core):,}")
        of_core: Any = pairs[:, core].tocsc()
        counts = np.empty((len(core), len(core)), dtype=np.float32)
        for start in range(0, len(core), block):
            columns = of_core[:, start : start + block].tocsr()
            counts[:, start : start + block] = (of_core.T @ columns).toarray()
        return cls(core, counts, pairs.shape[1])


def fit_ease(together: Cooccurrence, l2: float) -> NDArray[np.float32]:
    """EASE's item-item weights in closed form (Steck 2019): ridge regression of each item on all others."""
    return ridge_weights(together.counts, l2)


def ridge_weights(counts: NDArray[np.float32], l2: float, overwrite: bool = False) -> NDArray[np.float32]:
    """Weights of the ridge regression of each item on all others, from symmetric counts; their diagonal is 0.

    The inverse of counts + l2 is taken by Cholesky, in one copy of the counts, or with `overwrite` in their place: the
    matrix is large, and every other one costs seconds until the system has found memory for it. Raises LinAlgError
    where there is no inverse.
    """
    if not len(counts):
        return counts  # nothing to learn from; LAPACK refuses an empty matrix
    # The transpose is the same matrix with its columns together, as LAPACK wants it.
    gram = counts.T.astype(_precision(counts, l2), order="K", copy=not overwrite)
    gram[np.diag_indices_from(gram)] += l2
    potrf, potri = lapack.get_lapack_funcs(("potrf", "potri"), (gram,))
    factor, failed = potrf(gram, lower=1, overwrite_a=1)
    inverse, failed_too = potri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise np.linalg.LinAlgError(f"co-occurrence plus l2={l2} is not positive definite")
    _mirror(inverse)
    weights = inverse.T  # rows together: else a sparse product copies the whole matrix for every block of users
    weights /= -np.diag(inverse).copy()
    np.fill_diagonal(weights, 0)
    return weights.astype(np.float32, copy=False)


def _precision(counts: NDArray[np.float32], l2: float) -> type[np.floating[Any]]:
    """Single, for half the time and memory, where its rounding of the largest eigenvalue is small against l2.

    The largest row sum bounds that eigenvalue.
    """
    rounding = float(np.finfo(np.float32).eps) * float(counts.sum(axis=1).max())
    return np.float32 if SMALL * l2 >= rounding else np.float64


def _mirror(lower: NDArray[np.floating[Any]], block: int = 1_000) -> None:
    """Copy the lower triangle onto the upper one, in place and block by block."""
    for start in range(0, len(lower), block):
        stop = start + block
        lower[start:stop, stop:] = lower[stop:, start:stop].T
        square = lower[start:stop, start:stop]
        square[:] = np.tril(square) + np.tril(square, -1).T


def fit_item_item(together: Cooccurrence, shrinkage: float, neighbours: int, block: int = 1_000) -> "csr_matrix[Any]":
    """Cosine of co-occurrence with `shrinkage` in the denominator, each item's strongest `neighbours` kept.

    Column i holds the neighbours of i; the cosines of `block` items with all others are held at once.
    """
    users, n_core = np.diag(together.counts), len(together.core)
    if not n_core:
        return csr_matrix(together.counts)  # nothing to learn from
    item, neighbour, weight = [], [], []
    for start in range(0, n_core, block):
        counts = together.counts[start : start + block]
        cosine = np.asarray(counts / (np.sqrt(np.outer(users[start : start + block], users)) + shrinkage), np.float32)
        cosine[np.arange(len(cosine)), start + np.arange(len(cosine))] = 0
        nearest = top_k(steady(cosine), neighbours)
        row, place = np.nonzero(nearest >= 0)
        item.append(start + row)
        neighbour.append(nearest[row, place])
        weight.append(cosine[row, neighbour[-1]])
    pairs = (np.concatenate(neighbour), np.concatenate(item))
    found = csr_matrix((np.concatenate(weight), pairs), shape=(n_core, n_core))
    found.eliminate_zeros()
    return found
