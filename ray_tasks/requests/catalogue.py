"""What a request may ask of an item: its labels, its year, its place among the texts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.requests.links import Vectors, spoken_for
from ray_tasks.requests.reading import KINDS
from ray_tasks.text import document_fields
from ray_tasks.vocabulary.labels import Vocabulary

NO_YEAR = 0
_IN_TITLE = re.compile(r"\(((?:1[89]|20)\d\d)\)\s*$")
_YEAR = re.compile(r"\b((?:1[89]|20)\d\d)\b")


@dataclass(frozen=True)
class AskedCatalogue:
    """Items in one order: `labels` says which have a label, `years` when they are from (0: unknown).

    `vectors` (items, dimensions) are unit vectors of their documents, `popularity` (items,) lies in [0, 1], and
    `allowed` marks the items that may be recommended.
    """

    item_ids: NDArray[np.object_]
    titles: tuple[str, ...]
    labels: Mapping[str, NDArray[np.bool_]]
    years: NDArray[np.int64]
    vectors: Vectors
    popularity: NDArray[np.float64]
    allowed: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        documents: Sequence[dict[str, Any]],
        profiles: Mapping[str, Sequence[str]],
        vocabulary: Vocabulary,
        vectors: Vectors,
        counts: NDArray[np.int64],
        allowed: NDArray[np.bool_],
    ) -> "AskedCatalogue":
        """From documents by item_id (`item_id`, `title`, `categories`, `document`) and the labels of profiles by id.

        An item has a label where its text or categories speak for it, or its profile names it.
        """
        names = [one.label for one in vocabulary.entries if one.kind in KINDS]
        labels = {name: np.zeros(len(documents), dtype=bool) for name in names}
        for place, row in enumerate(documents):
            for label in spoken_for(vocabulary, row) | set(profiles.get(row["item_id"], ())):
                if label in labels:
                    labels[label][place] = True
        most = np.log1p(counts.max(initial=1))
        return cls(
            np.array([row["item_id"] for row in documents], dtype=object),
            tuple(row["title"] for row in documents),
            labels,
            np.array([year_of(row["title"], row["document"]) for row in documents], dtype=np.int64),
            vectors,
            np.log1p(counts) / most,
            allowed,
        )


def year_of(title: str, document: str) -> int:
    """The year of an item: at the end of its title in brackets, else in a field of its document named year or date."""
    if found := _IN_TITLE.search(title):
        return int(found[1])
    for field, text in document_fields(document):
        if ("year" in field.lower() or "date" in field.lower()) and (found := _YEAR.search(text)):
            return int(found[1])
    return NO_YEAR
