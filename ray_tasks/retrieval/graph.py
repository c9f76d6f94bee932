"""Candidate source `graph`: text vectors spread over the graph of users and items.

The propagation of LightGCN (He et al. 2020) with text vectors in place of learnt ones, as AlphaRec (Sheng et al. 2024)
shows that they suffice; nothing is trained, so that an item of yesterday has its place today.
"""

import numpy as np
from scipy.sparse import diags

from ray_tasks.interactions.rows import Rows
from ray_tasks.retrieval.text_similarity import TextSimilarity, Vectors


def fit_graph(histories: Rows, vectors: Vectors, layers: int, half_life: float) -> TextSimilarity:
    """Similarity of the items' own vectors plus what reaches them in 1 to `layers` steps by way of their users.

    `vectors` (items, dimensions) are unit text vectors, zeros for no text. An item without interactions keeps its own.
    """
    pairs = histories.weighted(len(vectors), 0).astype(np.float64)
    by_item, by_user = (np.asarray(pairs.sum(axis=axis)).ravel() for axis in (0, 1))
    scale = [diags(np.divide(1, np.sqrt(n), out=np.zeros(len(n)), where=n > 0)) for n in (by_user, by_item)]
    links = (scale[0] @ pairs @ scale[1]).tocsr()
    spread = total = vectors.astype(np.float64)
    for _ in range(layers):
        spread = links.T @ (links @ spread)
        total = total + spread
    length = np.linalg.norm(total, axis=1, keepdims=True)
    unit = np.divide(total, length, out=np.zeros_like(total), where=length > 0)
    return TextSimilarity(unit.astype(np.float32), half_life)
