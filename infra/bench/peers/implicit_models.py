"""implicit: alternating least squares (Hu et al. 2008) and nearest items by BM25."""

from collections.abc import Iterator

import numpy as np
from exchange import Ranked, Request
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender
from threadpoolctl import threadpool_limits

USERS = 1_000
"""Users ranked at a time."""


def als(request: Request) -> Iterator[Ranked]:
    """Parameters: factors, regularization, alpha."""
    for number, asked in enumerate(request.parameters):
        model = AlternatingLeastSquares(
            factors=int(asked["factors"]),
            regularization=asked["regularization"],
            alpha=asked["alpha"],
            random_state=request.seed,
            num_threads=request.threads,
        )
        yield from _ranked(model, request, number)


def bm25(request: Request) -> Iterator[Ranked]:
    """Parameters: neighbours, k1, b."""
    for number, asked in enumerate(request.parameters):
        model = BM25Recommender(K=int(asked["neighbours"]), K1=asked["k1"], B=asked["b"], num_threads=request.threads)
        yield from _ranked(model, request, number)


def _ranked(model: AlternatingLeastSquares | BM25Recommender, request: Request, number: int) -> Iterator[Ranked]:
    # Its own threads and those of the linear algebra would fight for the same cores.
    with threadpool_limits(1, "blas"):
        model.fit(request.taken, show_progress=False)
        for place, part in enumerate(request.parts):
            found = [np.zeros((0, request.k), dtype=np.int64)]
            for start in range(0, len(part.users), USERS):
                users = part.users[start : start + USERS]
                found.append(_lists(model, request, users, part.items))
            yield Ranked(number, place, np.concatenate(found))


def _lists(
    model: AlternatingLeastSquares | BM25Recommender, request: Request, users: np.ndarray, items: np.ndarray
) -> np.ndarray:
    lists = np.full((len(users), request.k), -1, dtype=np.int64)
    allowed, width = None if len(items) == request.shape[1] else items, min(request.k, len(items))
    if not width:
        return lists
    ids, scores = model.recommend(users, request.taken[users], N=width, items=allowed)
    # What is filtered out comes back with the lowest number there is, what has no neighbour with 0.
    low = 0 if isinstance(model, BM25Recommender) else -1e30
    lists[:, :width] = np.where(scores > low, ids, -1)
    return lists
