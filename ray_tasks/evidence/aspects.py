"""What reviews judge: aspects with sentiment and support counts, and the row of `item_reviews`.

Aspects are found by opinion patterns (Hu and Liu, KDD 2004): `the hinge is sturdy`, `great sound`, with VADER's lexicon
as opinion words; the shipped list knows other words for the usual ones. Sentiment is that of the clause which names the
aspect, by VADER (Hutto and Gilbert, ICWSM 2014), which handles negation, intensifiers and emphasis.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from ray_tasks.evidence import snippets
from ray_tasks.lexicons import lexicon
from ray_tasks.text import words
from ray_tasks.vocabulary.labels import Label, Vocabulary, stems
from ray_tasks.vocabulary.telling_terms import FUNCTION_WORDS

POSITIVE, NEGATIVE = 0.2, -0.2
"""Sentiments beyond which a review praises or criticises an aspect."""

REVIEW = 2_000
"""Characters of a review that are read."""

FRAMED = 0.2
"""Share of a noun's judgements that must read `the <noun> is <opinion>`: only nouns stand there."""

EVERYWHERE, NAMING, NAMED_ITEMS, FEWEST_REVIEWS = 0.15, 0.4, 0.2, 5
"""A noun in more of all reviews, or in NAMING of the reviews of NAMED_ITEMS of the items that it is said of, is what
people call the item itself (`guitar`, `game`), not a part of it. Only items with FEWEST_REVIEWS are looked at."""

_END = re.compile(r"(?<=[.!?])\s+|(?<=[a-z][.!?])(?=[A-Z])|\n+")
_CLAUSE = re.compile(r"\s*;\s*|,?\s+\b(?:but|although|though|however|whereas|except)\b\s*", re.IGNORECASE)
_ADVERBS = (
    r"(?:(?:not|n't|very|so|really|pretty|too|quite|a bit|just|also|extremely|absolutely|super|kind of|still)\s+){0,3}"
)
_PREDICATE = re.compile(
    r"\b(?:the|its|it's|their|this|these|those|his|her|your)\s+((?:[a-z][a-z'-]+\s+){0,2}?[a-z][a-z-]{2,})\s+"
    r"(?:(?:of|in|on|for)\s+(?:the|this|these|its|it)\s+(?:[a-z]+\s+)?)?"
    rf"(?:is|was|are|were|isn't|wasn't|aren't|weren't|feels?|looks?|sounds?|works?|seems?)\s+{_ADVERBS}([a-z]+)\b"
)
_ATTRIBUTE = re.compile(
    r"\b([a-z]+)\s+([a-z][a-z-]{2,}(?:\s+[a-z][a-z-]{2,})?)"
    r"(?=\s*(?:[.,;!?)]|$|(?:and|but|or|for|with|in|at|of|on|to|is|are|was|that|which|i|it|the)\b))"
)
_VAGUE = frozenset(
    map(
        stems,
        words(
            "game movie film book song product item thing stuff one only same rest first second way fact people guy "
            "person friend time day week hour year problem issue reason whole part end beginning idea most other main "
            "company team lot bit job work deal choice addition buy purchase review star amount experience fan version "
            "type kind point feeling feel moment stand set unit device itself themselves instrument anything something "
            "everything nothing someone everyone player user"
        ),
    )
)
"""Nouns that stand for the item, a person or nothing: judging them says nothing about an aspect."""


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@cache
def _seeds() -> Vocabulary:
    return Vocabulary(tuple(Label("aspect", label, terms) for label, terms in lexicon("aspects").items()))


def sentiment(text: str) -> float:
    """VADER's compound sentiment of a text, -1 to 1."""
    return float(_analyzer().polarity_scores(text)["compound"])


def sentences(review: str) -> list[str]:
    """Sentences of a review, each on one line."""
    return [" ".join(part.split()) for part in _END.split(review[:REVIEW]) if part.strip()]


def judged_aspects(texts: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many reviews judge each aspect: those of the shipped list, and nouns that opinion patterns find.

    `texts` are the reviews by item.
    """
    judged, framed = Counter[str](), Counter[str]()
    for reviews in texts.values():
        for review in reviews:
            found = set(_judgements(review[:REVIEW].lower().replace("\u2019", "'")))
            judged.update({aspect for aspect, _ in found})
            framed.update({aspect for aspect, is_framed in found if is_framed})
    seeds = set(_seeds().labels("aspect"))
    nouns = {noun for noun, n in judged.items() if noun not in seeds and n > 1 and framed[noun] >= FRAMED * n}
    told = nouns - _names_of_items(nouns, texts)
    return {aspect: n for aspect, n in sorted(judged.items()) if aspect in seeds or aspect in told}


def _judgements(text: str) -> Iterator[tuple[str, bool]]:
    """(aspect, it stands before a verb) for what a review judges."""
    opinions = _analyzer().lexicon
    for phrase, opinion in _PREDICATE.findall(text):
        if opinion in opinions and opinion != "like":
            yield from ((aspect, True) for aspect in _aspects_of(phrase))
    for opinion, phrase in _ATTRIBUTE.findall(text):
        if opinion in opinions and opinion not in FUNCTION_WORDS:
            yield from ((aspect, False) for aspect in _aspects_of(phrase))


def _aspects_of(phrase: str) -> Sequence[str]:
    """Aspects of the shipped list that a noun phrase names, else its last word."""
    known = _seeds().found_in(phrase, "aspect")
    said = phrase.split()
    noun = stems(said[-1])
    vague = any(word in FUNCTION_WORDS for word in said) or noun in _VAGUE or said[-1] in _analyzer().lexicon
    return known or (() if vague or " " in noun or len(noun) < 3 else (noun,))


def _names_of_items(nouns: set[str], texts: Mapping[str, Sequence[str]]) -> set[str]:
    named = Vocabulary(tuple(Label("aspect", noun, (noun,)) for noun in sorted(nouns)))
    everywhere: Counter[str] = Counter()
    shares: defaultdict[str, list[float]] = defaultdict(list)
    for reviews in texts.values():
        counts = Counter(noun for review in reviews for noun in named.found_in(review[:REVIEW], "aspect"))
        everywhere.update(counts)
        if len(reviews) >= FEWEST_REVIEWS:
            for noun, n in counts.items():
                shares[noun].append(n / len(reviews))
    total = sum(map(len, texts.values()))
    return {
        noun
        for noun in nouns
        if everywhere[noun] > EVERYWHERE * total
        or sum(share > NAMING for share in shares[noun]) > NAMED_ITEMS * max(1, len(shares[noun]))
    }


def item_review(item_id: str, reviews: Sequence[str], vocabulary: Vocabulary) -> dict[str, Any]:
    """The row of `item_reviews` for the reviews of one item."""
    judged: defaultdict[str, list[float]] = defaultdict(list)
    means: list[float] = []
    told: list[snippets.Scored] = []
    for review in reviews:
        scored = [(part, sentiment(part)) for part in sentences(review)]
        told += scored
        means.append(sum(score for _, score in scored) / max(1, len(scored)))
        for aspect, scores in _named(scored, vocabulary).items():
            judged[aspect].append(sum(scores) / len(scores))
    mean = round(sum(means) / len(means), 3)
    aspects = [_judged(aspect, values) for aspect, values in judged.items()]
    return {
        "item_id": item_id,
        "n_reviews": len(reviews),
        "mean_sentiment": mean,
        "aspects": sorted(aspects, key=lambda row: (-row["n_reviews"], row["aspect"])),
        "snippets": snippets.choose(told, mean, vocabulary),
    }


def _named(scored: Iterable[snippets.Scored], vocabulary: Vocabulary) -> dict[str, list[float]]:
    """Sentiments of the clauses of one review by the aspect that they name."""
    named: defaultdict[str, list[float]] = defaultdict(list)
    for sentence, score in scored:
        if vocabulary.found_in(sentence, "aspect"):
            clauses = [clause for clause in _CLAUSE.split(sentence) if clause]
            for clause in clauses:
                found = vocabulary.found_in(clause, "aspect")
                value = score if len(clauses) == 1 or not found else sentiment(clause)
                for aspect in found:
                    named[aspect].append(value)
    return named


def _judged(aspect: str, values: Sequence[float]) -> dict[str, Any]:
    """One aspect of an item; `values` are the sentiments of the reviews that name it."""
    return {
        "aspect": aspect,
        "sentiment": round(sum(values) / len(values), 3),
        "n_positive": sum(value > POSITIVE for value in values),
        "n_negative": sum(value < NEGATIVE for value in values),
        "n_reviews": len(values),
    }


def by_item(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Review texts of each item, in the order of the rows."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["item_id"], []).append(row["review"])
    return found
