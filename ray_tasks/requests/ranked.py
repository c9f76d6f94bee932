"""The items that answer a request: those that meet most of what it asks for, nearest to its words and the user first.

What a request refuses is a filter: no item that has it comes. What it asks for is counted, so that a list is full also
where no item meets everything; each row says what its item meets and what it misses.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Ints, plain_product
from ray_tasks.requests.catalogue import NO_YEAR, AskedCatalogue
from ray_tasks.requests.links import Vectors
from ray_tasks.requests.parsing import Parsed

WORDS, LIKE, TASTE, POPULARITY = 1.0, 1.0, 0.3, 0.2
"""Weights of likeness to the request's words, to the items that it names, to the user's taste, and of popularity."""
ERA = "era"


@dataclass(frozen=True)
class Answer:
    """One item of a list: its position in the catalogue, score, and what it meets and misses of the request."""

    item: int
    score: float
    met: tuple[str, ...]
    missed: tuple[str, ...]


def answers(
    parsed: Parsed, taste: NDArray[np.float32] | None, seen: Ints, catalogue: AskedCatalogue, most: int
) -> list[Answer]:
    """The best `most` items, best first; ties by item_id. `taste` is the user's unit vector, None where unknown."""
    wanted = wishes(parsed, catalogue)
    met = np.stack([has for _, has in wanted]) if wanted else np.zeros((0, len(catalogue.item_ids)), dtype=bool)
    # A wish more outweighs everything else: each of the other parts lies in [-1, 1].
    most_of_rest = 2 * (WORDS + 2 * LIKE + TASTE + POPULARITY)
    scores = met.sum(axis=0) * most_of_rest + relevance(parsed, taste, catalogue)
    open_ = permitted(parsed, catalogue)
    open_[seen] = False
    places = np.flatnonzero(open_)
    order = places[np.lexsort((places, -np.round(scores[places], 6)))][:most]
    return [
        Answer(
            int(item),
            float(round(scores[item], 6)),
            tuple(name for (name, _), has in zip(wanted, met[:, item], strict=True) if has),
            tuple(name for (name, _), has in zip(wanted, met[:, item], strict=True) if not has),
        )
        for item in order
    ]


def wishes(parsed: Parsed, catalogue: AskedCatalogue) -> list[tuple[str, NDArray[np.bool_]]]:
    """What the request asks for by name, each with the items that have it: labels, and the years."""
    asked = parsed.constraints
    found = [(label, catalogue.labels[label]) for label in asked.include if label in catalogue.labels]
    if asked.first_year is not None or asked.last_year is not None:
        first, last = asked.first_year or NO_YEAR + 1, asked.last_year or np.iinfo(np.int64).max
        found.append((ERA, (catalogue.years >= first) & (catalogue.years <= last)))
    return found


def permitted(parsed: Parsed, catalogue: AskedCatalogue) -> NDArray[np.bool_]:
    """Items that may be recommended and have nothing that the request refuses; not those that it names itself."""
    found = catalogue.allowed.copy()
    for label in parsed.constraints.exclude:
        if label in catalogue.labels:
            found &= ~catalogue.labels[label]
    found[_places(parsed.constraints.like + parsed.constraints.unlike, catalogue)] = False
    return found


def relevance(parsed: Parsed, taste: NDArray[np.float32] | None, catalogue: AskedCatalogue) -> NDArray[np.float64]:
    """(items,): nearness to the words, to named items and to the taste, and popularity; refused items count against."""
    vectors, asked = catalogue.vectors, parsed.constraints
    found = WORDS * _nearness(vectors, parsed.vector[None]) + POPULARITY * catalogue.popularity
    for ids, sign in ((asked.like, 1), (asked.unlike, -1)):
        if ids:
            found += sign * LIKE * _nearness(vectors, vectors[_places(ids, catalogue)])
    if taste is not None:
        found += TASTE * _nearness(vectors, taste[None])
    return found


def _nearness(vectors: Vectors, to: Vectors) -> NDArray[np.float64]:
    """(items,): the mean cosine with some vectors."""
    return np.asarray(plain_product(vectors, to.T).mean(axis=1), dtype=np.float64)


def _places(item_ids: tuple[str, ...], catalogue: AskedCatalogue) -> Ints:
    return np.searchsorted(catalogue.item_ids, np.array(item_ids, dtype=object)) if item_ids else np.zeros(0, np.int64)
