"""The vocabularies that a catalogue suggests: its categories and telling terms, moods and aspects that it supports."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from ray_tasks.profiles.text import document_fields
from ray_tasks.profiles.vocabulary import KINDS, Label, Vocabulary, stems, tokens
from schemas.config import Vocabulary as VocabularyConfig
from schemas.errors import ConfigError

COMMON = 0.6
"""A category on a larger share of the items tells nothing about one of them."""

RARE_TERM, COMMON_TERM = 0.003, 0.08
"""Shares of documents between which a term is neither an accident nor a commonplace."""

CONTRAST = 2.0
"""A term is telling when some category has it this many times as often as the whole catalogue."""

WORD = r"\b[a-z][a-z-]{3,}\b"

NAME_SHARE = 0.5
"""Words that are capitalised more often than this inside sentences are names."""

Row = Mapping[str, Any]


@cache
def lexicon(name: str) -> dict[str, tuple[str, ...]]:
    """A shipped lexicon: label -> terms."""
    text = (files("ray_tasks") / "lexicons" / f"{name}.yaml").read_text(encoding="utf-8")
    return {label: tuple(terms) for label, terms in yaml.safe_load(text).items()}


def induce(
    documents: Sequence[Row],
    reviewed: Mapping[str, int],
    config: VocabularyConfig,
    earlier: Vocabulary = Vocabulary(()),  # noqa: B008 - frozen
    edits: Mapping[str, Any] | None = None,
) -> Vocabulary:
    """The vocabulary of a night: what the catalogue supports, what earlier nights had, what the user says.

    `documents` are rows of `item_documents`; `reviewed` counts the reviews that judge each aspect; `edits` is the
    user's file. A label needs `min_items` items to come in, and half of them to stay, so that small changes of the
    catalogue do not churn it.
    """
    supported = {
        "theme": [*_categories(documents), *_terms(documents)],
        "mood": _moods(documents),
        "aspect": [Label("aspect", a, lexicon("aspects").get(a, (a,)), n, "review") for a, n in reviewed.items()],
    }
    most = {"theme": config.themes, "mood": config.moods, "aspect": config.aspects}
    kept: list[Label] = []
    for kind in KINDS:
        known = set(earlier.labels(kind))
        enough = [
            one
            for one in supported[kind]
            if one.n_items >= (config.min_items / 2 if one.label in known else config.min_items)
        ]
        # A label that the night before had goes before a newcomer with a little more support.
        ranked = sorted(enough, key=lambda one: (-one.n_items * (1.25 if one.label in known else 1), one.label))
        kept += _distinct(ranked)[: most[kind]]
    return Vocabulary(tuple(_edited(kept, edits or {}, documents)))


def _distinct(labels: Sequence[Label]) -> list[Label]:
    """One label per stem: of `comedy` and `comedies` the first."""
    found: dict[str, Label] = {}
    for one in labels:
        if 2 <= len(one.label) <= 40 and re.search(r"[^\W\d_]", one.label):
            found.setdefault(stems(one.label), one)
    return list(found.values())


def _categories(documents: Sequence[Row]) -> list[Label]:
    counts = Counter(
        label for row in documents for label in {" ".join(tokens(category)) for category in row["categories"]}
    )
    most = COMMON * len(documents)
    return [Label("theme", label, (label,), n, "category") for label, n in counts.items() if label and n <= most]


def _moods(documents: Sequence[Row]) -> list[Label]:
    moods = Vocabulary(tuple(Label("mood", label, terms) for label, terms in lexicon("moods").items()))
    counts = Counter(label for row in documents for label in moods.found_in(row["document"], "mood", row["categories"]))
    return [Label("mood", label, lexicon("moods")[label], n, "lexicon") for label, n in counts.items()]


def _terms(documents: Sequence[Row]) -> list[Label]:
    """Words and pairs of words of descriptions that are telling of some category, without names and numbers."""
    from sklearn.feature_extraction.text import CountVectorizer

    texts = [
        " . ".join(text for name, text in document_fields(row["document"])[1:] if len(text) > 60) for row in documents
    ]
    if sum(map(bool, texts)) < 50:
        return []
    names = _names(texts)
    count = CountVectorizer(
        binary=True,
        ngram_range=(1, 2),
        stop_words="english",
        min_df=max(5, int(RARE_TERM * len(texts))),
        max_df=COMMON_TERM,
        token_pattern=WORD,
    )
    try:
        found = count.fit_transform(texts).tocsc()
    except ValueError:
        return []  # no term is frequent enough
    categories = [{" ".join(tokens(c)) for c in row["categories"]} for row in documents]
    contrast = _contrast(found, categories)
    support = np.asarray(found.sum(axis=0)).ravel()
    own = {stems(c) for some in categories for c in some}
    return [
        Label("theme", term, (term,), int(support[at]), "term")
        for at, term in enumerate(count.get_feature_names_out())
        if contrast[at] >= CONTRAST and not names & set(term.split()) and stems(term) not in own
    ]


def _contrast(found: Any, categories: Sequence[set[str]]) -> Any:
    """Per term the highest ratio of its rate in a category of 20 or more items to its rate in the catalogue."""
    overall = (np.asarray(found.sum(axis=0)).ravel() + 1) / (found.shape[0] + 1)
    rows = found.tocsr()
    best = np.ones(found.shape[1])
    for category in sorted({c for some in categories for c in some}):
        inside = np.flatnonzero([category in some for some in categories])
        if len(inside) >= 20:
            rate = (np.asarray(rows[inside].sum(axis=0)).ravel() + 1) / (len(inside) + 1 / overall)
            best = np.maximum(best, rate / overall)
    return best


def _names(texts: Sequence[str]) -> set[str]:
    """Words that stand capitalised inside sentences more often than not."""
    capital: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for text in texts:
        for before, word in re.findall(r"(\S) ([A-Za-z][A-Za-z-]{3,})", text):
            if before not in ".!?:":
                total[word.lower()] += 1
                capital[word.lower()] += word[0].isupper()
    return {word for word, n in total.items() if capital[word] > NAME_SHARE * n}


def read_edits(path: str) -> dict[str, Any]:
    """The user's vocabulary file: per kind (`themes`, `moods`, `aspects`) the mappings and lists of `FORMAT`.

    Raises ConfigError naming the file and everything in it that is not understood.
    """
    from schemas.storage import read_text

    try:
        found = yaml.safe_load(read_text(path)) or {}
    except yaml.YAMLError as error:
        raise ConfigError(path, [f"not readable as YAML: {error}"]) from error
    if not isinstance(found, dict):
        raise ConfigError(path, ["expected a mapping with themes, moods or aspects at the top"])
    problems = [f"{kind}: unknown; known are themes, moods, aspects" for kind in found if kind not in FORMAT]
    for kind in set(found) & set(FORMAT):
        problems += _problems(kind, found[kind])
    if problems:
        raise ConfigError(path, sorted(problems))
    return found


FORMAT = {f"{kind}s": kind for kind in KINDS}
"""Keys of the user's file. Below each: `add` (label -> terms), `rename` (old -> new), `remove` (labels)."""


def _problems(kind: str, edits: Any) -> list[str]:
    shapes = {"add": dict, "rename": dict, "remove": list}
    if not isinstance(edits, dict):
        return [f"{kind}: expected a mapping with add, rename or remove"]
    problems = [f"{kind}.{key}: unknown; known are add, rename, remove" for key in edits if key not in shapes]
    for key in set(edits) & set(shapes):
        if not isinstance(edits[key], shapes[key]):
            problems.append(f"{kind}.{key}: expected a {shapes[key].__name__}, found {type(edits[key]).__name__}")
    added = [*(edits.get("add") or {}), *(edits.get("rename") or {}).values()] if not problems else []
    wrong = [label for label in added if not (isinstance(label, str) and 2 <= len(label.strip()) <= 40)]
    return [*problems, *(f"{kind}: label {label!r} must be a text of 2 to 40 characters" for label in wrong)]


def _edited(labels: Sequence[Label], edits: Mapping[str, Any], documents: Sequence[Row]) -> list[Label]:
    """Labels after the user's additions, renamings and removals; what the user adds stays whatever its support."""
    result: list[Label] = []
    for key, kind in FORMAT.items():
        wanted = edits.get(key) or {}
        rename = {str(old).lower(): str(new).lower().strip() for old, new in (wanted.get("rename") or {}).items()}
        removed = {str(label).lower() for label in wanted.get("remove") or ()}
        added = {str(label).lower().strip(): terms or [] for label, terms in (wanted.get("add") or {}).items()}
        named = {one.label: one for one in labels if one.kind == kind and one.label not in removed}
        changed = {
            rename.get(label, label): Label(
                kind, rename.get(label, label), (*one.terms, label), one.n_items, one.origin
            )
            for label, one in named.items()
        }
        own = Vocabulary(tuple(Label(kind, label, tuple(map(str, terms))) for label, terms in added.items()))
        counts = Counter(
            label
            for row in (documents if added else ())
            for label in own.found_in(row["document"], kind, row["categories"])
        )
        changed |= {one.label: Label(kind, one.label, one.terms, counts[one.label], "user") for one in own.entries}
        result += changed.values()
    return result
