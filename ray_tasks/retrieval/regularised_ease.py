"""Candidate source `ease_text`: EASE whose ridge regression also explains what the items' texts share.

The rows of words are further users: an item's words say who resembles it before anybody has taken it. The gram matrix
becomes X'X + weight * T T', so that items with few users are regularised towards their textual neighbours instead of
towards nothing (the collective form of Jeunen et al. 2020; a text prior in a linear autoencoder as in L3AE, Moon et
al. 2025).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ray_tasks.retrieval.cooccurrence import Cooccurrence, ridge_weights


def fit_regularised_ease(
    together: Cooccurrence, words: "csr_matrix[Any]", l2: float, weight: float
) -> NDArray[np.float32]:
    """Item-item weights over the core, diagonal 0; `weight` of 0 gives EASE.

    `words` are unit rows of the whole catalogue, (items, terms), so that `weight` counts in users: two items with the
    same text have, next to those who took both, that many users in common.
    """
    of_core: Any = words[together.core]
    gram = np.asarray((of_core @ of_core.T).toarray(), dtype=np.float32)
    gram *= np.float32(weight)
    gram += together.counts
    return ridge_weights(gram, l2, overwrite=True)
