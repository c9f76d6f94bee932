"""The closed vocabularies of themes, moods and aspects: which labels there are, and which of them a text speaks for."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import pyarrow as pa

KINDS = ("theme", "mood", "aspect")
FROM_CATEGORY = 100
"""A category that names a label speaks for it more than any text does."""

_TOKEN = re.compile(r"[^\W_]+(?:['\u2019&-][^\W_]+)*")


@dataclass(frozen=True)
class Label:
    """One label of a kind, with the terms that speak for it (the label itself is one of them)."""

    kind: str
    label: str
    terms: tuple[str, ...]
    n_items: int = 0
    origin: str = "user"


@dataclass(frozen=True)
class Vocabulary:
    """All labels; finds those that a text or a list of categories supports."""

    entries: tuple[Label, ...]

    @classmethod
    def from_table(cls, table: pa.Table) -> "Vocabulary":
        """From rows of `vocabularies`."""
        rows = table.select(["kind", "label", "terms", "n_items", "origin"]).to_pylist()
        labels = (Label(**{**row, "terms": tuple(row["terms"])}) for row in rows)
        return cls(tuple(sorted(labels, key=lambda one: (one.kind, -one.n_items, one.label))))

    def labels(self, kind: str) -> tuple[str, ...]:
        """Labels of a kind, the best supported first."""
        return tuple(one.label for one in self.entries if one.kind == kind)

    @property
    def version(self) -> str:
        """SHA-256 of all labels and their terms."""
        parts = sorted([one.kind, one.label, *sorted(one.terms)] for one in self.entries)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def words(self) -> frozenset[str]:
        """Themes that are one word: what a profile may say only where the evidence does."""
        return frozenset(label for label in self.labels("theme") if len(tokens(label)) == 1)

    def found_in(self, text: str, kind: str, categories: Iterable[str] = ()) -> tuple[str, ...]:
        """Labels of a kind that a text or its categories speak for, the strongest first, ties by label."""
        scores: Counter[str] = Counter()
        for category in categories:
            for label in self._terms.get((kind, stems(category)), ()):
                scores[label] += FROM_CATEGORY
        found = stems(text).split(" ")
        for size in range(1, self._longest + 1):
            for start in range(len(found) - size + 1):
                for label in self._terms.get((kind, " ".join(found[start : start + size])), ()):
                    scores[label] += 1
        return tuple(sorted(scores, key=lambda label: (-scores[label], label)))

    @cached_property
    def _terms(self) -> dict[tuple[str, str], list[str]]:
        """Labels by kind and stemmed term."""
        index: dict[tuple[str, str], list[str]] = {}
        for one in self.entries:
            for term in sorted({stems(term) for term in (one.label, *one.terms)} - {""}):
                index.setdefault((one.kind, term), []).append(one.label)
        return index

    @cached_property
    def _longest(self) -> int:
        return max((term.count(" ") + 1 for _, term in self._terms), default=0)


def tokens(text: str) -> list[str]:
    """Words and numbers of a text, lower case."""
    return [word.lower().replace("\u2019", "'") for word in _TOKEN.findall(text)]


def stems(text: str) -> str:
    """Words of a text in the singular, joined by blanks: what terms are compared by."""
    return " ".join(_singular(word) for word in tokens(text))


@lru_cache(100_000)
def _singular(word: str) -> str:
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def rows(vocabulary: Vocabulary) -> list[dict[str, object]]:
    """As rows of `vocabularies`, by kind and label."""
    version = vocabulary.version
    ordered: Sequence[Label] = sorted(vocabulary.entries, key=lambda one: (one.kind, one.label))
    return [
        {
            "kind": one.kind,
            "label": one.label,
            "terms": sorted({one.label, *one.terms}),
            "n_items": one.n_items,
            "origin": one.origin,
            "version": version,
        }
        for one in ordered
    ]
