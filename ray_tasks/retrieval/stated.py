"""Candidate source `stated`: what is near to the words of a user without a history, weighed by what newcomers take.

Bayes' rule in spirit: what newcomers take is the prior, likeness to the words the evidence. Without the prior, obscure
items whose texts happen to be near would win.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Rows, Scores, plain_product, steady
from ray_tasks.interactions.stated import UNDATED, Stated
from ray_tasks.own_words import own_words
from ray_tasks.retrieval.text_similarity import Vectors, query_vectors, vectors_of
from schemas.night import Task

NEAR = 0.5
"""Share of the likeness of the nearest item that an item needs to be near as well."""


@dataclass(frozen=True)
class StatedSource:
    """`vectors` (items, dimensions) are unit text vectors, `prior` (items,) in (0, 1]; `weight` is that of likeness."""

    vectors: Vectors
    prior: Scores
    weight: float

    @classmethod
    def fit(cls, vectors: Vectors, popularity: Scores, weight: float) -> "StatedSource":
        """From counts of what newcomers took; one event more for each, so that an item that nobody took can be near."""
        return cls(vectors, (popularity + 1) / (popularity.max(initial=0) + 1), weight)

    def score(self, history: Rows) -> Scores:
        """See CandidateSource: nothing to say, a history tells more than words."""
        return np.full((len(history), len(self.vectors)), np.nan, dtype=np.float32)

    def score_texts(self, vectors: Vectors) -> Scores:
        """See TextSource: in (0, 1]; NaN for items that are not near."""
        likeness = plain_product(vectors, self.vectors.T)
        best = likeness.max(axis=1, keepdims=True, initial=0)
        scores = steady(self.prior * np.exp(self.weight * (likeness - best)))
        scores[(likeness < NEAR * best) | (likeness <= 0)] = np.nan
        return scores


def read_stated(task: Task, known: NDArray[np.object_]) -> Stated:
    """What users said before as_of, but for those whom even the first window knows by an interaction: `known`."""
    told = task.read("user_embeddings").read(["user_id", "kind", "vector"])
    old = pa.array(known, pa.string())
    told = told.filter(pc.and_(pc.equal(told["kind"], "stated"), pc.invert(pc.is_in(told["user_id"], value_set=old))))
    if not told.num_rows:
        return Stated.none()
    times = {one.user_id: one.time for one in own_words(task)}
    user_ids = told["user_id"].to_numpy()
    embeddings = task.read("item_embeddings").read(["item_id", "kind", "vector"])
    vectors = query_vectors(embeddings.filter(pc.equal(embeddings["kind"], "document")), vectors_of(told))
    return Stated(user_ids, vectors, np.array([times.get(user_id, UNDATED) for user_id in user_ids], dtype=np.int64))
