"""Candidate source `text`: items whose texts resemble those of the user's history; it reaches new items too."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Ints, Rows, Scores, decay, plain_product

Vectors = NDArray[np.float32]


def item_vectors(embeddings: pa.Table, item_ids: NDArray[np.object_]) -> Vectors:
    """One unit vector per catalogue item: its kinds (document, profile) side by side, each centred.

    Centring takes out what all texts share, which would otherwise make everything alike. Zeros without a text.
    """
    kinds = sorted(set(embeddings["kind"].to_pylist()))
    parts = [_centred(embeddings, kind, item_ids) for kind in kinds]
    return _unit(np.hstack(parts)) if parts else np.zeros((len(item_ids), 1), dtype=np.float32)


def query_vectors(embeddings: pa.Table, texts: Vectors) -> Vectors:
    """Other texts in the space of `item_vectors`: less what all items' texts of a kind share, the kinds side by side.

    `texts` are unit vectors (texts, dimensions) of the encoder that made the items' ones.
    """
    kinds = sorted(set(embeddings["kind"].to_pylist()))
    parts = [_unit(texts - vectors_of(_of_kind(embeddings, kind)).mean(axis=0)) for kind in kinds]
    return _unit(np.hstack(parts)) if parts else np.zeros((len(texts), 1), dtype=np.float32)


def vectors_of(embeddings: pa.Table) -> Vectors:
    """Column `vector` as (rows, dimensions)."""
    flat = embeddings["vector"].combine_chunks().flatten()
    return np.asarray(flat, dtype=np.float32).reshape(embeddings.num_rows, -1)


def _of_kind(embeddings: pa.Table, kind: str) -> pa.Table:
    return embeddings.filter(pa.compute.equal(embeddings["kind"], kind))


def _centred(embeddings: pa.Table, kind: str, item_ids: NDArray[np.object_]) -> Vectors:
    of_kind = _of_kind(embeddings, kind)
    place = np.searchsorted(item_ids, of_kind["item_id"].to_numpy(zero_copy_only=False))
    found = vectors_of(of_kind)
    vectors = np.zeros((len(item_ids), found.shape[1]), dtype=np.float32)
    vectors[place] = found - found.mean(axis=0)
    return _unit(vectors)


def _unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0).astype(np.float32)


@dataclass(frozen=True)
class TextSimilarity:
    """Cosine between an item's vector and the recency-weighted mean of the history's vectors."""

    vectors: Vectors
    half_life: float

    def score(self, history: Rows) -> Scores:
        """See CandidateSource: NaN for users without a text in their history and for items without a text."""
        means: NDArray[Any] = history.weighted(len(self.vectors), self.half_life) @ self.vectors
        scores = plain_product(_unit(means), self.vectors.T)
        scores[~means.any(axis=1)] = np.nan
        scores[:, ~self.vectors.any(axis=1)] = np.nan
        return scores

    def contributions(self, history: Ints, items: Ints) -> NDArray[np.float32]:
        """See ItemBasedSource; up to the user's length, which all share."""
        weights = decay(np.arange(len(history)), self.half_life)
        return np.asarray(weights[:, None] * (self.vectors[history] @ self.vectors[items].T), dtype=np.float32)
