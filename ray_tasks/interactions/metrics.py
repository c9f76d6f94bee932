"""NDCG@k, Recall@k and MRR over ragged targets, and what is more than noise: how sources are tuned, the ranker gated,
and models compared.
"""

import numpy as np

from ray_tasks.interactions.rows import Floats, Ints, Rows


def hits(ranked: Ints, targets: Rows) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    """Which ranked items are targets: the shape of `ranked`, (users, k); an item of -1 is an empty place."""
    width = int(max(ranked.max(initial=-1), targets.items.max(initial=-1))) + 1
    keys = np.arange(len(targets))[:, None] * width + ranked
    wanted = np.repeat(np.arange(len(targets)), targets.lengths) * width + targets.items
    return np.isin(keys, wanted) & (ranked >= 0)


def ndcg(ranked: Ints, targets: Rows, k: int = 10) -> Floats:
    """NDCG@k per user with binary relevance; the ideal list holds min(k, targets) hits. 0 without targets."""
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    found = hits(ranked[:, :k], targets)
    ideal = np.concatenate([[0.0], np.cumsum(gains)])[np.minimum(targets.lengths, k)]
    reached = found @ gains[: found.shape[1]]
    return np.divide(reached, ideal, out=np.zeros(len(targets)), where=ideal > 0)


def recall(ranked: Ints, targets: Rows, k: int = 20) -> Floats:
    """Share of a user's targets among the first k, per user. 0 without targets."""
    found = hits(ranked[:, :k], targets).sum(axis=1)
    return np.divide(found, targets.lengths, out=np.zeros(len(targets)), where=targets.lengths > 0)


def mrr(ranked: Ints, targets: Rows) -> Floats:
    """Reciprocal rank of the first target in the list, per user. 0 where no target is in it."""
    found = hits(ranked, targets)
    first = found.argmax(axis=1)
    return np.where(found.any(axis=1), 1.0 / (first + 1), 0.0)


def beats(one: Floats, other: Floats) -> bool:
    """True if `one` is better on average by more than one standard error of the paired difference.

    A difference on a single user alone equals its own standard error, which is why rounding needs a margin.
    """
    if len(one) < 2:
        return False
    difference = one - other
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    return bool(difference.mean() > error * (1 + 1e-9) and difference.mean() > 0)
