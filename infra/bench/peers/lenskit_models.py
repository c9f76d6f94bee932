"""LensKit: EASE (Steck 2019), a second implementation of one of Nightrec's own sources."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from exchange import Ranked, Request, best
from lenskit.data import from_interactions_df
from lenskit.knn.ease import EASEScorer

USERS = 1_000
"""Users ranked at a time."""


def ease(request: Request) -> Iterator[Ranked]:
    """Parameters: regularization.

    LensKit's pipeline scores one user at a time with a product of the user's row and the weights; here many rows are
    multiplied at once, with the same result.
    """
    torch.set_num_threads(request.threads)
    data = from_interactions_df(pd.DataFrame({"user_id": request.user, "item_id": request.item}).drop_duplicates())
    known = np.asarray(data.items.ids(), dtype=np.int64)
    for number, asked in enumerate(request.parameters):
        scorer = EASEScorer(regularization=asked["regularization"])
        scorer.train(data)
        for place, part in enumerate(request.parts):
            found = [np.zeros((0, request.k), dtype=np.int64)]
            for start in range(0, len(part.users), USERS):
                rows = slice(start, start + USERS)
                taken = request.taken[part.users[rows]]
                scores = np.full(taken.shape, -np.inf, dtype=np.float32)
                scores[:, known] = taken[:, known] @ scorer.weights
                found.append(best(scores, request, part, rows))
            yield Ranked(number, place, np.concatenate(found))
