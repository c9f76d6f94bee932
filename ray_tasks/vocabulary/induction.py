"""The vocabularies that a catalogue suggests: its categories and telling terms, moods and aspects that it supports.

Titles give terms where a catalogue has nothing else.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ray_tasks.lexicons import lexicon
from ray_tasks.vocabulary.edits import LONGEST, SHORTEST, Edits
from ray_tasks.vocabulary.labels import KINDS, Label, Vocabulary, parts, stems
from ray_tasks.vocabulary.telling_terms import description, telling_terms
from ray_tasks.vocabulary.title_terms import title_terms
from schemas.generation_config import Vocabulary as VocabularyConfig

COMMON = 0.6
"""A category on a larger share of the items tells nothing about one of them."""

LOYALTY = 1.25
"""Where labels compete for a place, one that the night before had weighs so much more than a newcomer."""

_WELL_FORMED = re.compile(r"[^\W_](?:[\w '&+./-]*[\w+])?(?<!_)")
_YEAR = re.compile(r"(?:1[89]|20)?\d0'?s|(?:1[89]|20)\d\d(?: ?- ?(?:1[89]|20)?\d\d)?")
_MOST_WORDS = 5

Row = Mapping[str, Any]


def induce(
    documents: Sequence[Row],
    reviewed: Mapping[str, int],
    config: VocabularyConfig,
    earlier: Vocabulary = Vocabulary(()),  # noqa: B008 - frozen
    edits: Edits = Edits(),  # noqa: B008 - frozen
) -> Vocabulary:
    """The vocabulary of a night: what the catalogue supports, what earlier nights had, what the user says.

    `documents` are rows of `item_documents`; `reviewed` counts the reviews that judge each aspect. A label needs
    `min_items` items (reviews) to come in, and half of them to stay, so that small changes of the catalogue do not
    churn it.
    """
    known = {kind: edits.of(kind).known(set(earlier.labels(kind))) for kind in KINDS}
    supported = {
        "theme": [
            _supported(_categories(documents, known["theme"]), known["theme"], config),
            _supported(_terms(documents, known["theme"]), known["theme"], config),
            _supported(_title_terms(documents, known["theme"], config.min_items), known["theme"], config),
        ],
        "mood": [_supported(_moods(documents), known["mood"], config)],
        "aspect": [_supported(_aspects(reviewed), known["aspect"], config)],
    }
    most = {"theme": config.themes, "mood": config.moods, "aspect": config.aspects}
    labels: list[Label] = []
    for kind in KINDS:
        ranked = [label for group in supported[kind] for label in group]
        kept = edits.of(kind).applied(_distinct(ranked))[: most[kind]]
        labels += _with_own(kept, kind, edits, documents)
    return Vocabulary(tuple(labels))


def _supported(found: Mapping[Label, float], known: set[str], config: VocabularyConfig) -> list[Label]:
    """Labels with enough support, the strongest first, ties by name."""
    enough = [one for one in found if one.n_items >= config.min_items / (2 if one.label in known else 1)]
    return sorted(enough, key=lambda one: (-found[one] * (LOYALTY if one.label in known else 1), one.label))


def _distinct(labels: Sequence[Label]) -> list[Label]:
    """One label per stem: of `comedy` and `comedies` the first."""
    found: dict[str, Label] = {}
    for one in labels:
        found.setdefault(stems(one.label), one)
    return list(found.values())


def category_label(category: str) -> str | None:
    """A category as a label: lower case, tidy; None for years and for what is no short name of something."""
    label = " ".join(category.lower().replace("\u2019", "'").split()).strip(" .,'-&/")
    if not SHORTEST <= len(label) <= LONGEST or label.count(" ") >= _MOST_WORDS or not _WELL_FORMED.fullmatch(label):
        return None
    return label if re.search(r"[^\W\d_]", label) and not _YEAR.fullmatch(label) else None


def _categories(documents: Sequence[Row], known: set[str]) -> dict[Label, float]:
    counts = Counter(
        label
        for row in documents
        for label in {category_label(part) for category in row["categories"] for part in parts(category)}
        if label
    )
    most = COMMON * len(documents)
    return {
        Label("theme", label, (label,), n, "category"): float(n)
        for label, n in counts.items()
        if n <= most * (LOYALTY if label in known else 1)
    }


def _terms(documents: Sequence[Row], known: set[str]) -> dict[Label, float]:
    return _counted(telling_terms(documents, known), map(description, documents))


def _title_terms(documents: Sequence[Row], known: set[str], fewest: int) -> dict[Label, float]:
    return _counted(title_terms(documents, fewest, known), (row["title"] for row in documents))


def _counted(strengths: Mapping[str, float], texts: Iterable[str]) -> dict[Label, float]:
    """Terms as labels, each with the number of texts that speak for it."""
    own = Vocabulary(tuple(Label("theme", term, (term,)) for term in strengths))
    counts = Counter(label for text in (texts if strengths else ()) for label in own.found_in(text, "theme"))
    return {Label("theme", term, (term,), counts[term], "term"): value for term, value in strengths.items()}


def _moods(documents: Sequence[Row]) -> dict[Label, float]:
    moods = Vocabulary(tuple(Label("mood", label, terms) for label, terms in lexicon("moods").items()))
    # Titles are left out: the War of the Roses is no epic.
    counts = Counter(
        label for row in documents for label in moods.found_in(description(row), "mood", row["categories"])
    )
    return {Label("mood", one.label, one.terms, n, "lexicon"): n for one in moods.entries if (n := counts[one.label])}


def _aspects(reviewed: Mapping[str, int]) -> dict[Label, float]:
    known = lexicon("aspects")
    return {Label("aspect", name, known.get(name, (name,)), n, "review"): n for name, n in reviewed.items()}


def _with_own(labels: Sequence[Label], kind: str, edits: Edits, documents: Sequence[Row]) -> list[Label]:
    """Labels with those that the user adds, which stay whatever their support; the user's terms join known ones."""
    found = {one.label: one for one in labels}
    added = {
        name: Label(
            kind, name, tuple(dict.fromkeys((name, *(terms or ()), *(found[name].terms if name in found else ()))))
        )
        for name, terms in edits.of(kind).add.items()
    }
    own = Vocabulary(tuple(added.values()))
    counts = Counter(
        label
        for row in (documents if added else ())
        for label in own.found_in(row["document"], kind, row["categories"])
    )
    found |= {name: Label(kind, name, one.terms, counts[name], "user") for name, one in added.items()}
    return list(found.values())
