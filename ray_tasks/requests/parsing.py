"""From a request's words to what it asks for, or to the reason why no list answers it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.generation.protocol import Generator
from ray_tasks.interactions.rows import plain_product
from ray_tasks.privacy.scrubbing import scrub
from ray_tasks.requests.asking import Question, asked
from ray_tasks.requests.constraints import Constraints
from ray_tasks.requests.links import Encode, LabelLinks, Vectors
from ray_tasks.requests.outside import misses, refusal
from ray_tasks.requests.reading import Reader, Reading
from ray_tasks.requests.titles import Titles
from ray_tasks.text import as_data
from ray_tasks.vocabulary.labels import Vocabulary, stems, tokens

CHARACTERS = 500
"""Of a request that are read."""
SHORTLIST = 6
"""Labels that the model may choose from: the nearest."""


@dataclass(frozen=True)
class Parsed:
    """A request as it is understood, without contact data; `vector` is its own, of unit length.

    `outside` is one of outside.REASONS, or None. `unsupported` are moods that it speaks of and that no label of this
    catalogue is.
    """

    text: str
    constraints: Constraints
    outside: str | None
    unsupported: tuple[str, ...]
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class Parser:
    """Knows a catalogue: its labels, titles, words, and the unit vectors (items, dimensions) of its documents."""

    reader: Reader
    links: LabelLinks
    words: frozenset[str]
    vectors: Vectors
    encode: Encode

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        documents: Sequence[dict[str, Any]],
        counts: Sequence[int],
        vectors: Vectors,
        encode: Encode,
        kind: str,
    ) -> "Parser":
        """From documents (`item_id`, `title`, `document`, `categories`), times taken, and vectors, in one order."""
        names = ((row["item_id"], row["title"], count) for row, count in zip(documents, counts, strict=True))
        links = LabelLinks.fit(vocabulary, documents, vectors, encode, kind)
        words = frozenset(stems(word) for row in documents for word in tokens(row["document"]))
        return cls(Reader(vocabulary, Titles(names)), links, words, vectors, encode)

    def parse(self, texts: Sequence[str], generator: Generator | None = None) -> list[Parsed]:
        """Each request as it is understood; words that no term explains are linked by the encoder, or asked about."""
        plain = [" ".join(scrub(text[:CHARACTERS], names=False).split()) for text in texts]  # titles hold names
        refusals = [refusal(text) for text in plain]
        readings = [self.reader.read("" if why else text) for text, why in zip(plain, refusals, strict=True)]
        vectors = self.encode([as_data(text, CHARACTERS) for text in plain])
        near = np.asarray(plain_product(vectors, self.vectors.T).max(axis=1, initial=0))
        readings = self._explained(plain, readings, generator)
        return [
            Parsed(
                text,
                reading.constraints,
                why or misses(text, reading, self.words, float(similarity), strength),
                reading.unsupported,
                vector,
            )
            for text, reading, why, vector, similarity, strength in zip(
                plain, readings, refusals, vectors, near, self._strengths(vectors), strict=True
            )
        ]

    def _strengths(self, vectors: Vectors) -> list[float]:
        if not self.links.labels:
            return [0.0] * len(vectors)
        return [float(row.max()) for row in self.links.strengths(vectors)]

    def _explained(
        self, texts: Sequence[str], readings: Sequence[Reading], generator: Generator | None
    ) -> list[Reading]:
        """Readings with labels for the words that no term explains: by the model where there is one, else linked."""
        found = list(readings)
        runs = [(place, run, against) for place, one in enumerate(readings) for run, against in one.rest]
        if not runs or not self.links.labels:
            return found
        vectors = self.encode([run for _, run, _ in runs])
        if generator is None:
            for (place, _, against), label in zip(runs, self.links.nearest(vectors), strict=True):
                found[place] = _with(found[place], (), (label,)) if against else _with(found[place], (label,), ())
            return found
        places = sorted({place for place, _, _ in runs})
        nearest = self.links.strengths(self.encode([texts[place] for place in places]))
        questions = [
            Question(texts[place], tuple(self.links.labels[at] for at in np.argsort(-row, kind="stable")[:SHORTLIST]))
            for place, row in zip(places, nearest, strict=True)
        ]
        for place, answer in zip(places, asked(questions, generator), strict=True):
            if answer is not None:
                found[place] = _with(found[place], answer.include, answer.exclude)
        return found


def _with(reading: Reading, include: Sequence[str | None], exclude: Sequence[str | None]) -> Reading:
    """A reading with more labels; what its own words say of a label stands."""
    known = reading.constraints
    said = {*known.include, *known.exclude}
    refused = {*known.exclude, *(label for label in exclude if label and label not in said)}
    wanted = {*known.include, *(label for label in include if label and label not in said)} - refused
    return replace(reading, constraints=replace(known, include=tuple(sorted(wanted)), exclude=tuple(sorted(refused))))
