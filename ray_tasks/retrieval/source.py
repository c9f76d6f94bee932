"""What a candidate source is, and the two forms that the shipped ones take."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ray_tasks.interactions.rows import Ints, Rows, Scores, decay, steady


class CandidateSource(Protocol):
    """A fitted source: scores the whole catalogue for a block of users."""

    def score(self, history: Rows) -> Scores:
        """(users, items); NaN where the source has nothing to say. Seen items are the caller's business."""
        ...


@runtime_checkable
class TextSource(Protocol):
    """A source that can also score users by what they said they like."""

    def score_texts(self, vectors: NDArray[np.float32]) -> Scores:
        """(users, items) from unit vectors (users, dimensions) in the space of the items' texts; NaN as in `score`."""
        ...


class ItemBasedSource(CandidateSource, Protocol):
    """A source whose score of an item is a sum over the user's history, so that it can be explained."""

    def contributions(self, history: Ints, items: Ints) -> NDArray[np.float32]:
        """What each history item (most recent first) adds to the score of each of `items`: (history, items)."""
        ...


Similarity: TypeAlias = "NDArray[np.float32] | csr_matrix[Any]"
THIN = 0.1
"""A matrix with a smaller share of values is kept sparse."""


def thin(matrix: Similarity) -> Similarity:
    """The matrix, dense where that is faster and takes little more memory."""
    if isinstance(matrix, np.ndarray):
        return csr_matrix(matrix) if np.count_nonzero(matrix) < THIN * matrix.size else matrix
    return matrix if matrix.nnz < THIN * np.prod(matrix.shape) else matrix.toarray()


@dataclass(frozen=True)
class SimilaritySource:
    """Scores are recency-weighted histories times an item-item matrix over the catalogue's core.

    `core`: positions of the items that the matrix covers; `similarity[j, i]`: what j in a history adds to i;
    `half_life`: positions after which a history item counts half, 0 for no decay. A user without a core item
    gets NaN; an item outside the core as well.
    """

    core: Ints
    similarity: Similarity
    half_life: float
    n_items: int

    def score(self, history: Rows) -> Scores:
        """See CandidateSource. A sparse product sums in a fixed order, whatever the number of threads."""
        weights = history.weighted(self.n_items, self.half_life)[:, self.core]
        scores: Scores = np.full((len(history), self.n_items), np.nan, dtype=np.float32)
        known = np.flatnonzero(np.diff(weights.indptr))
        scores[np.ix_(known, self.core)] = steady(_dense(weights[known] @ self.similarity))
        return scores

    def contributions(self, history: Ints, items: Ints) -> NDArray[np.float32]:
        """See ItemBasedSource."""
        place = np.full(self.n_items, -1)
        place[self.core] = np.arange(len(self.core))
        rows, columns = place[history], place[items]
        weights = decay(np.arange(len(history)), self.half_life)
        parts = weights[:, None] * _dense(self.similarity[np.ix_(rows, columns)])
        return np.where((rows[:, None] >= 0) & (columns[None, :] >= 0), parts, 0).astype(np.float32)


def _dense(values: Any) -> NDArray[np.float32]:
    return values.toarray() if hasattr(values, "toarray") else values
