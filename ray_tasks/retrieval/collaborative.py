"""Vectors of items by who took them."""

from typing import Any

import numpy as np
from scipy.sparse import diags

from ray_tasks.interactions.rows import Rows
from ray_tasks.retrieval.text_similarity import Vectors


def unit(vectors: Any) -> Vectors:
    """Rows of length 1; zeros stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros(vectors.shape, np.float32), where=length > 0)


def collaborative_vectors(histories: Rows, n_items: int, dimensions: int, shrinkage: float) -> Vectors:
    """(items, dimensions) by singular values of the normalised interactions, longer the more is known of an item.

    `shrinkage`: interactions at which a vector has half its length; an item that nobody took has zeros.
    """
    from sklearn.utils.extmath import randomized_svd

    pairs = histories.weighted(n_items, 0).astype(np.float64)
    pairs = pairs[np.flatnonzero(histories.lengths)]  # the draws of the method hang on the shape: nobody else counts
    by_item, by_user = (np.asarray(pairs.sum(axis=axis)).ravel() for axis in (0, 1))
    scale = [diags(np.divide(1, np.sqrt(n), out=np.zeros(len(n)), where=n > 0)) for n in (by_user, by_item)]
    width = min(dimensions, *pairs.shape)
    _, strength, right = randomized_svd(scale[0] @ pairs @ scale[1], width, n_iter=7, random_state=0)
    padded = np.zeros((n_items, dimensions), dtype=np.float32)
    told = strength > 1e-6 * max(strength.max(initial=0), 1e-12)  # where nothing is told, directions are arbitrary
    padded[:, :width] = unit(right.T * (strength * told)) * (by_item / (by_item + shrinkage))[:, None]
    return padded
