"""Labels for words that no term names: the encoder tells which label they are near to.

A label lies where its name does and where the items are that have it: "trenches, tanks and troops" is near to the war
films of the catalogue. Both directions are taken from the middle of all, since every text about films is near to every
other; this is Rocchio's classifier (1971) with a name beside the examples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import plain_product
from ray_tasks.requests.reading import KINDS
from ray_tasks.vocabulary.labels import Vocabulary

Vectors = NDArray[np.float32]
Encode = Callable[[list[str]], Vectors]
"""Texts -> unit vectors."""

LEAST = 0.155
"""Mean cosine of the two directions from which a label is linked; tuned on the labelled requests of `validation`."""
FEWEST = 5
"""Items that a label needs to be linked."""


@dataclass(frozen=True)
class LabelLinks:
    """`names` and `examples` (labels, dimensions) are unit directions; `middle` is that of all items."""

    labels: tuple[str, ...]
    names: Vectors
    examples: Vectors
    middle: Vectors

    @classmethod
    def fit(
        cls, vocabulary: Vocabulary, documents: Sequence[dict[str, Any]], vectors: Vectors, encode: Encode, kind: str
    ) -> "LabelLinks":
        """From documents (`document`, `categories`) with their unit vectors; `kind` is what one item is, in a word."""
        having: dict[str, list[int]] = {one.label: [] for one in vocabulary.entries if one.kind in KINDS}
        for place, row in enumerate(documents):
            for label in spoken_for(vocabulary, row):
                having[label].append(place)
        labels = tuple(label for label, places in having.items() if len(places) >= FEWEST)
        if not labels:
            empty = np.zeros((0, vectors.shape[1] if len(vectors) else 1), dtype=np.float32)
            return cls((), empty, empty, np.zeros(empty.shape[1], dtype=np.float32))
        middle = vectors.mean(axis=0)
        examples = np.stack([vectors[having[label]].mean(axis=0) for label in labels])
        names = encode([f"a {label} {kind}" for label in labels])
        return cls(labels, _directions(names - names.mean(axis=0)), _directions(examples - middle), middle)

    def strengths(self, vectors: Vectors) -> NDArray[np.float32]:
        """(texts, labels): mean cosine of a text with a label's two directions, from -1 to 1."""
        texts = _directions(np.asarray(vectors - self.middle / 2, dtype=np.float32))
        both = plain_product(texts, self.names.T) + plain_product(texts, self.examples.T)
        return np.asarray(both / 2, dtype=np.float32)

    def nearest(self, vectors: Vectors, least: float = LEAST) -> list[str | None]:
        """The label nearest to each text; None where none is near."""
        if not self.labels:
            return [None] * len(vectors)
        found = self.strengths(vectors)
        best = found.argmax(axis=1)
        return [self.labels[label] if found[row, label] >= least else None for row, label in enumerate(best.tolist())]


def spoken_for(vocabulary: Vocabulary, row: dict[str, Any]) -> set[str]:
    """Labels that an item's document or categories speak for."""
    return {one for kind in KINDS for one in vocabulary.found_in(row["document"], kind, row["categories"])}


def _directions(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)
