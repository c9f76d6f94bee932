"""One order from two: reciprocal rank fusion of the ranker's order and the language model's."""

import numpy as np

from ray_tasks.interactions.metrics import ndcg
from ray_tasks.interactions.rows import Floats, Ints, Rows

CONSTANT = 60
"""Of reciprocal rank fusion, as in its paper (Cormack et al. 2009)."""

WEIGHTS = tuple(step / 10 for step in range(11))
"""Shares of the language model that are tried: 0 is the ranker's order, 1 the model's."""


def order(ranked: Ints, scores: Floats) -> Ints:
    """The lists by score descending, ties in the ranker's order; lists without a score stay as they are.

    Candidates without a score in a list that has some come last, empty places (-1) after them.
    """
    filled = np.where(np.isnan(scores), -np.inf, scores)
    places = np.lexsort((np.broadcast_to(np.arange(ranked.shape[1]), ranked.shape), -filled, ranked < 0), axis=1)
    return np.take_along_axis(ranked, places, axis=1)


def ranks(scores: Floats) -> Floats:
    """Rank from 1 of each score in its row, equal scores in the order given; NaN is the worst."""
    filled = np.where(np.isnan(scores), -np.inf, scores)
    before = np.argsort(np.argsort(-filled, axis=1, kind="stable"), axis=1, kind="stable")
    return before.astype(np.float64) + 1


def fused(scores: Floats, weight: float) -> Floats:
    """Scores of the blended order: `weight` for the language model's rank, the rest for the ranker's place.

    NaN where the model has said nothing of a list.
    """
    own = 1.0 + np.arange(scores.shape[1])
    blend = (1 - weight) / (CONSTANT + own) + weight / (CONSTANT + ranks(scores))
    return np.where(np.isnan(scores), np.nan, blend)


def best_weight(ranked: Ints, scores: Floats, targets: Rows, k: int = 10) -> float:
    """The weight with the best mean NDCG@k on these users; of equal ones the smallest. 0 without users."""
    if not len(ranked):
        return 0.0
    means = [float(ndcg(order(ranked, fused(scores, weight)), targets, k).mean()) for weight in WEIGHTS]
    return WEIGHTS[int(np.argmax(np.round(means, 12)))]


def cross_fitted(ranked: Ints, scores: Floats, targets: Rows, seed: int, k: int = 10) -> Floats:
    """NDCG@k per user of the blend, each half of the users with the weight that is best on the other half."""
    gains = np.zeros(len(ranked))
    halves = np.array_split(np.random.default_rng(seed).permutation(len(ranked)), 2)
    for here, other in zip(halves, reversed(halves), strict=True):
        weight = best_weight(ranked[other], scores[other], targets.take(other), k)
        gains[here] = ndcg(order(ranked[here], fused(scores[here], weight)), targets.take(here), k)
    return gains
