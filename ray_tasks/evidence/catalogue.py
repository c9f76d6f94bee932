"""The catalogue as evidence needs it: titles, labels, and how near two items are by their texts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from ray_tasks.vocabulary.labels import Vocabulary

MEDOIDS_FROM = 60
"""History items that medoids are chosen from: the most recent ones, since the cost grows with the square."""


WORD = r"\w[\w'-]+"

NEAR = 0.1
"""Cosine below which two texts have only commonplaces in common."""


@dataclass(frozen=True)
class Catalogue:
    """Items in a fixed order, with the labels that their texts (or their published profiles) give them."""

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    documents: tuple[str, ...]
    themes: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls, documents: Sequence[Mapping[str, Any]], vocabulary: Vocabulary, profiles: Iterable[Mapping[str, Any]] = ()
    ) -> "Catalogue":
        """From rows of `item_documents`; an item with a row in `profiles` has that profile's themes."""
        profiled = {row["item_id"]: tuple(row["themes"]) for row in profiles}
        rows = sorted(documents, key=lambda row: row["item_id"])
        themes = (
            profiled.get(row["item_id"]) or vocabulary.found_in(row["document"], "theme", row["categories"])[:8]
            for row in rows
        )
        return cls(
            tuple(row["item_id"] for row in rows),
            tuple(row["title"] for row in rows),
            tuple(tuple(row["categories"]) for row in rows),
            tuple(row["document"] for row in rows),
            tuple(themes),
        )

    @cached_property
    def places(self) -> dict[str, int]:
        """Place of each item_id."""
        return {item_id: place for place, item_id in enumerate(self.item_ids)}

    @cached_property
    def themes_of(self) -> dict[str, tuple[str, ...]]:
        """Themes of each item_id."""
        return dict(zip(self.item_ids, self.themes, strict=True))

    @cached_property
    def vectors(self) -> csr_matrix:
        """TF-IDF of documents and themes, rows of unit length: nearness without an encoder."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = [
            f"{text} {' '.join(label.replace(' ', '_') for label in themes)}"
            for text, themes in zip(self.documents, self.themes, strict=True)
        ]
        weighted = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, token_pattern=WORD)
        try:
            return weighted.fit_transform(texts).tocsr()
        except ValueError:  # not one word in the whole catalogue
            return csr_matrix((len(texts), 1), dtype=np.float32)

    def nearest(self, places: Sequence[int], among: Sequence[int], most: int) -> list[list[int]]:
        """For each place the nearest others of `among`, at least NEAR alike, nearest first, ties by place."""
        if not among:
            return [[] for _ in places]
        others, pool = np.asarray(sorted(among)), self.vectors[sorted(among)].T.tocsc()
        found: list[list[int]] = []
        for start in range(0, len(places), 512):
            block = list(places[start : start + 512])
            scores = (self.vectors[block] @ pool).tocsr()
            for row, place in enumerate(block):
                part = scores.getrow(row)
                order = np.lexsort((part.indices, -np.round(part.data, 6)))
                near = [int(others[part.indices[at]]) for at in order[: most + 1] if part.data[at] >= NEAR]
                found.append([other for other in near if other != place][:most])
        return found

    def medoids(self, places: Sequence[int], most: int) -> list[int]:
        """Representatives of a set of items: the medoids of its clusters (FasterPAM), largest cluster first."""
        distinct = list(dict.fromkeys(places))[:MEDOIDS_FROM]
        if len(distinct) <= most:
            return distinct
        import kmedoids

        part = self.vectors[distinct]
        distance = np.clip(1 - (part @ part.T).toarray(), 0, None).astype(np.float64)
        result = kmedoids.fasterpam(distance, most, random_state=0, init="build", n_cpu=1)
        sizes = np.bincount(result.labels, minlength=most)
        order = sorted(range(most), key=lambda cluster: (-sizes[cluster], distinct[int(result.medoids[cluster])]))
        return [distinct[int(result.medoids[cluster])] for cluster in order]
