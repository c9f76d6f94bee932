"""The closed vocabularies of themes, moods and aspects: which labels there are, and which of them a text speaks for."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import pyarrow as pa

KINDS = ("theme", "mood", "aspect")
FROM_CATEGORY = 100
"""A category that names a label speaks for it more than any text does."""

_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_COMPOUND = re.compile(r"\s*[/|;>]\s*|,\s+")
_IRREGULAR = {"children": "child", "men": "man", "women": "woman", "wolves": "wolf", "wives": "wife", "news": "news"}


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
        found = table.select(["kind", "label", "terms", "n_items", "origin"]).to_pylist()
        labels = (Label(**{**row, "terms": tuple(row["terms"])}) for row in found)
        return cls(tuple(sorted(labels, key=lambda one: (one.kind, -one.n_items, one.label))))

    def labels(self, kind: str) -> tuple[str, ...]:
        """Labels of a kind, the best supported first."""
        return tuple(one.label for one in self.entries if one.kind == kind)

    @property
    def version(self) -> str:
        """SHA-256 of all labels and their terms."""
        parts = sorted([one.kind, one.label, *sorted({one.label, *one.terms})] for one in self.entries)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def words(self) -> frozenset[str]:
        """Themes that are one word: what a profile may say only where the evidence does."""
        return frozenset(label for label in self.labels("theme") if " " not in label)

    def found_in(self, text: str, kind: str, categories: Iterable[str] = ()) -> tuple[str, ...]:
        """Labels of a kind that a text or its categories speak for, the strongest first, ties by label.

        Words are compared whole, without regard to case, singular or plural, hyphen or blank (`stems`).
        """
        scores: Counter[str] = Counter()
        starts = self._starts.get(kind, {})
        for category in categories:
            for words in {tuple(stems(part).split()) for part in (category, *parts(category))} - {()}:
                for term, label in starts.get(words[0], ()):
                    scores[label] += FROM_CATEGORY * (term == words)
        found = tuple(stems(text).split())
        for place, word in enumerate(found):
            for term, label in starts.get(word, ()):
                scores[label] += len(term) == 1 or found[place : place + len(term)] == term
        return tuple(sorted(+scores, key=lambda label: (-scores[label], label)))

    @cached_property
    def _starts(self) -> dict[str, dict[str, list[tuple[tuple[str, ...], str]]]]:
        """By kind, and by the first stem of a term: the stems of the term, and its label."""
        index: dict[str, dict[str, list[tuple[tuple[str, ...], str]]]] = {}
        for one in self.entries:
            for term in sorted({stems(term) for term in (one.label, *one.terms)} - {""}):
                words = tuple(term.split())
                index.setdefault(one.kind, {}).setdefault(words[0], []).append((words, one.label))
        return index


def tokens(text: str) -> list[str]:
    """Words and numbers of a text, lower case; a hyphen parts words."""
    return [word.lower().replace("\u2019", "'") for word in _TOKEN.findall(text)]


def parts(category: str) -> tuple[str, ...]:
    """A compound category as its parts: `Sci-Fi/Fantasy` is `Sci-Fi` and `Fantasy`."""
    return tuple(part for part in map(str.strip, _COMPOUND.split(category)) if part)


@lru_cache(256)
def stems(text: str) -> str:
    """Words of a text in one form for singular and plural, joined by blanks: what terms are compared by.

    The S-stemmer (Harman, 1991) and a few irregular plurals: safe for short labels, where stronger stemmers merge
    words that mean different things (`animation` and `animal`). `children's` is not `children`.
    """
    return " ".join(map(_stem, tokens(text)))


@lru_cache(100_000)
def _stem(word: str) -> str:
    if word.endswith("'s"):
        return word if word[:-2] in _IRREGULAR else _stem(word[:-2])
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 4 and word.endswith(("ies", "ie")):
        return f"{word.removesuffix('s')[:-2]}y"
    if word.endswith(("ches", "shes", "sses", "xes")) or (len(word) > 5 and word.endswith("oes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def rows(vocabulary: Vocabulary) -> list[dict[str, object]]:
    """As rows of `vocabularies`, by kind and label."""
    version = vocabulary.version
    return [
        {
            "kind": one.kind,
            "label": one.label,
            "terms": sorted({one.label, *one.terms}),
            "n_items": one.n_items,
            "origin": one.origin,
            "version": version,
        }
        for one in sorted(vocabulary.entries, key=lambda one: (one.kind, one.label))
    ]
