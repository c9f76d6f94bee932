"""Candidate source `new_items`: items that few took yet, placed among the others by what their texts foretell.

A ridge regression carries text vectors to collaborative ones (as Gantner et al. 2010 do for attributes); an item counts
by its own interactions as far as it has any. The text itself keeps half the say.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Rows, Scores
from ray_tasks.retrieval.collaborative import collaborative_vectors, unit
from ray_tasks.retrieval.text_similarity import TextSimilarity, Vectors

DIMENSIONS, SHRINKAGE, L2 = 64, 5.0, 100.0
"""Of the collaborative vectors, and of the regression."""


@dataclass(frozen=True)
class NewItems:
    """Similarity of places in both spaces, said of new items only."""

    similarity: TextSimilarity
    new: NDArray[np.bool_]

    def score(self, history: Rows) -> Scores:
        """See CandidateSource: NaN for items that are not new."""
        scores = self.similarity.score(history)
        scores[:, ~self.new] = np.nan
        return scores


def fit_new_items(histories: Rows, vectors: Vectors, most: int, half_life: float) -> NewItems:
    """Items with a text and fewer than `most` interactions are new; `vectors` are unit text vectors, zeros for none."""
    counts = np.bincount(histories.items, minlength=len(vectors))
    known = collaborative_vectors(histories, len(vectors), DIMENSIONS, SHRINKAGE)
    trust = (counts / (counts + SHRINKAGE))[:, None]
    places = unit(trust * unit(known) + (1 - trust) * foretold(vectors, unit(known), trust))
    both = unit(np.hstack([places, vectors]))
    return NewItems(TextSimilarity(both, half_life), (counts < most) & vectors.any(axis=1))


def foretold(texts: Vectors, wanted: Vectors, weights: NDArray[np.float64]) -> Vectors:
    """Unit vectors that texts lead one to expect: weighted ridge regression of `wanted` on texts."""
    weighted = (texts * weights).T.astype(np.float64)
    turn = np.linalg.solve(weighted @ texts + L2 * np.eye(texts.shape[1]), weighted @ wanted)
    return unit(texts @ turn)
