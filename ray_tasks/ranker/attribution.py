"""Which sources put an item on a list: what its score would lose, had one of them not been there."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Floats, Ints
from ray_tasks.ranker.features import FUSION_DEPTH, Lists, features
from ray_tasks.ranker.gate import ServingModel
from ray_tasks.ranker.trees import FUSION_WEIGHT
from schemas.candidates_config import SOURCES

ABSENT = {"score": np.nan, "rank": np.nan, "share_of_best": np.nan, "deviation": np.nan, "reciprocal_rank": 1 / 1_010}
"""What a source's features are where it has nothing to say, as `features` makes them."""


def attributions(model: ServingModel, lists: Lists, rows: Ints) -> Floats:
    """(rows, SOURCES): the loss of score by leaving out one source at a time; NaN where it did not propose the item.

    Where no trees serve, and for users without a history, whom trees do not rank, a better rank counts for more.
    """
    ranks = np.column_stack([lists.column(f"{source}_rank")[rows] for source in SOURCES])
    loss: Floats = FUSION_WEIGHT / (FUSION_DEPTH + ranks)
    if model.decision.serving != "ranker" or not model.ranker.models or not len(rows):
        return loss
    ranker = model.ranker
    values = features(lists, ranker.names)[rows]
    told, learnt = ranker.trees(values), lists.column("user_count")[rows] > 0
    for number, source in enumerate(SOURCES):
        proposed = np.flatnonzero(learnt & ~np.isnan(ranks[:, number]))
        if len(proposed):
            left = without(values[proposed], ranker.names, source, loss[proposed, number] / FUSION_WEIGHT)
            loss[proposed, number] += told[proposed] - ranker.trees(left)
    return loss


def without(values: NDArray[np.float32], names: Sequence[str], source: str, fused: Floats) -> NDArray[np.float32]:
    """Features as if a source had not been there; `fused` is its part of each row's fusion."""
    found = values.copy()
    changes = {f"{source}_{kind}": value for kind, value in ABSENT.items()}
    for name, value in changes.items():
        if name in names:
            found[:, names.index(name)] = value
    for name, part in (("fusion", fused), ("proposing_sources", 1.0)):
        if name in names:
            found[:, names.index(name)] -= part
    return found
