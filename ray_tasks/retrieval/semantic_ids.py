"""Semantic ids: a short code for every item, such that items with like vectors share the first places of it.

Residual quantisation as in TIGER (Rajput et al. 2023), by k-means instead of a trained quantiser, with codes that are
used about equally often as in LETTER (Wang et al. 2024).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Floats, Ints, ends, plain_product
from ray_tasks.retrieval.text_similarity import Vectors

FEWEST, MOST = 64, 256
"""Codes of a level, by the size of the catalogue."""
ROUNDS = 25
"""Rounds of k-means."""
SHARPNESS = 0.05
"""Temperature of a balanced assignment, as a share of the spread of the distances."""


def semantic_ids(
    vectors: Vectors, levels: int = 3, codes: int | None = None, balanced: bool = True, seed: int = 0
) -> Ints:
    """The id of each item, (items, levels + 1), all different; -1 throughout for a vector of zeros.

    Each level has `codes` codes, by default about the root of the number of items within 64..256. The last place
    numbers the items that share all others, in the order of the catalogue.
    """
    ids = np.full((len(vectors), levels + 1), -1, dtype=np.int64)
    known = np.flatnonzero(vectors.any(axis=1))
    if not len(known):
        return ids
    chance, rest = np.random.default_rng(seed), vectors[known].astype(np.float32)
    for level in range(levels):
        code, centres = k_means(rest, min(codes or usual_codes(len(known)), len(known)), balanced, chance)
        ids[known, level], rest = code, rest - centres[code]
    ids[known, levels] = _numbered(ids[known, :levels])
    return ids


def usual_codes(n_items: int) -> int:
    """The power of two from the root of the number of items upwards, within FEWEST..MOST."""
    return min(MOST, max(FEWEST, 2 ** math.ceil(math.log2(max(1, n_items)) / 2)))


def k_means(vectors: Vectors, k: int, balanced: bool, chance: np.random.Generator) -> tuple[Ints, Vectors]:
    """The cluster of each row and the clusters' centres, (k, dimensions).

    `balanced` gives every cluster a price that rises with its share (entropic transport, Cuturi 2013), so that they
    grow about equally large. An empty cluster moves to the row that is worst served.
    """
    centres, prices = vectors[np.sort(chance.choice(len(vectors), k, replace=False))], np.zeros(k)
    code = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(ROUNDS):
        distances = _distances(vectors, centres)
        prices = _prices(distances, prices) if balanced else prices
        before, code = code, np.argmin(np.round(distances - prices, 6), axis=1)
        if np.array_equal(before, code) and not balanced:
            break
        served = distances[np.arange(len(code)), code].copy()
        for empty in np.flatnonzero(np.bincount(code, minlength=k) == 0):
            worst = int(np.argmax(served))
            code[worst], served[worst] = empty, -np.inf
        centres = _means(vectors, code, k)
    return code, centres


def _distances(vectors: Vectors, centres: Vectors) -> Floats:
    """Squared distances (rows, k), less each row's own square, which no choice of a centre changes."""
    squares = (centres.astype(np.float64) ** 2).sum(axis=1)
    return squares[None, :] - 2.0 * plain_product(vectors, centres.T)


def _prices(distances: Floats, prices: Floats, steps: int = 4) -> Floats:
    """What is taken off each cluster's distances so that all get about the same share of the rows."""
    heat = max(SHARPNESS * float(distances.std()), 1e-9)
    for _ in range(steps):
        pull = (prices - distances) / heat
        shares = np.exp(pull - pull.max(axis=1, keepdims=True))
        taken = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
        prices = prices - heat * np.log(np.maximum(taken * len(prices), 1e-6))
    return prices


def _means(vectors: Vectors, code: Ints, k: int) -> Vectors:
    order = np.argsort(code, kind="stable")
    sizes = np.bincount(code, minlength=k)
    starts = ends(sizes)[:-1]
    filled = np.flatnonzero(sizes)
    means = np.zeros((k, vectors.shape[1]))
    means[filled] = np.add.reduceat(vectors[order].astype(np.float64), starts[filled]) / sizes[filled][:, None]
    return means.astype(np.float32)


def _numbered(prefixes: Ints) -> Ints:
    """0, 1, ... among rows that are alike, in their order."""
    _, group = np.unique(prefixes, axis=0, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], group[order], side="left")
    number = np.empty(len(group), dtype=np.int64)
    number[order] = np.arange(len(group)) - starts
    return number


@dataclass(frozen=True)
class Trie:
    """The prefix tree of the ids in `codes` (items, depth); items with -1 there are not in it.

    The nodes of a level are numbered in the order of their prefixes, so that the last level's are the items by id.
    """

    codes: Ints

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Which items have an id."""
        return np.asarray((self.codes >= 0).all(axis=1))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each level."""
        return tuple(int(size) for size in self.codes.max(axis=0, initial=-1) + 1)

    @cached_property
    def nodes(self) -> Ints:
        """(items, depth + 1): the nodes that lead to each item, from the root, 0, on; -1 for items that are not in."""
        found = np.full((len(self.codes), self.depth + 1), -1, dtype=np.int64)
        found[self.known, 0] = 0
        for level in range(self.depth):
            keys = found[self.known, level] * self.sizes[level] + self.codes[self.known, level]
            found[self.known, level + 1] = np.unique(keys, return_inverse=True)[1]
        return found

    @cached_property
    def children(self) -> tuple[Ints, ...]:
        """Per level (nodes, codes of the next place): the node that a code leads to, -1 where no id goes on so."""
        tables = []
        for level, size in enumerate(self.sizes):
            parents, nodes = self.nodes[self.known, level], self.nodes[self.known, level + 1]
            table = np.full((int(parents.max(initial=-1)) + 1, size), -1, dtype=np.int64)
            table[parents, self.codes[self.known, level]] = nodes
            tables.append(table)
        return tuple(tables)

    @cached_property
    def items(self) -> Ints:
        """The item of each node of the last level."""
        return np.flatnonzero(self.known)[np.argsort(self.nodes[self.known, -1])]

    @property
    def depth(self) -> int:
        """Places of an id."""
        return self.codes.shape[1]

    def __getstate__(self) -> dict[str, Any]:
        """The ids alone; all else follows from them."""
        return {"codes": self.codes}
