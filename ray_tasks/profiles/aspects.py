"""What reviews judge: aspects with sentiment and support counts, and sentences that a prompt may show.

Sentiment is that of the sentence which names the aspect, by VADER (Hutto and Gilbert, ICWSM 2014), which handles
negation, intensifiers and emphasis. Aspects that the shipped list does not have are found by opinion patterns ("the
hinge is sturdy"), as in Hu and Liu (KDD 2004), with VADER's lexicon as opinion words.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ray_tasks.profiles.induction import lexicon
from ray_tasks.profiles.privacy import scrub
from ray_tasks.profiles.text import words
from ray_tasks.profiles.vocabulary import Label, Vocabulary, tokens

POSITIVE, NEGATIVE = 0.2, -0.2
"""Sentiments beyond which a review praises or criticises an aspect."""

SNIPPETS, SHORTEST, LONGEST = 3, 40, 160
REVIEW = 2_000
"""Characters of a review that are read."""

_END = re.compile(r"(?<=[.!?])\s+|\n+")
_JUDGED = re.compile(
    r"\b(?:the|its|this|these)\s+([a-z]{3,15})\s+(?:is|was|are|were|feels?|looks?|sounds?|works?)\s+"
    r"(?:(?:not|very|so|really|pretty|too|quite|a|bit)\s+){0,3}([a-z]+)\b"
)
_EMPTY = frozenset(
    words(
        "game movie film book product item thing things one only same rest first second way fact people guy "
        "guys time day problem reason whole part end beginning idea most other others main best worst company "
        "developers team"
    )
)
"""Nouns that stand for the item, a person or nothing: judging them says nothing about an aspect."""


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def sentiment(text: str) -> float:
    """VADER's compound sentiment of a text, -1 to 1."""
    return float(_analyzer().polarity_scores(text)["compound"])


def sentences(review: str) -> list[str]:
    """Sentences of a review, each on one line."""
    return [" ".join(part.split()) for part in _END.split(review[:REVIEW]) if part.strip()]


def judged_aspects(reviews: Iterable[str]) -> dict[str, int]:
    """How many reviews judge each aspect: those of the shipped list, and nouns that opinion patterns find."""
    known = Vocabulary(tuple(Label("aspect", label, terms) for label, terms in lexicon("aspects").items()))
    opinions = _analyzer().lexicon
    counts: Counter[str] = Counter()
    for review in reviews:
        text = review[:REVIEW].lower()
        found = set(known.found_in(text, "aspect"))
        for noun, word in _JUDGED.findall(text):
            if word in opinions and noun not in _EMPTY and noun not in opinions and not known.found_in(noun, "aspect"):
                found.add(noun)
        counts.update(found)
    return dict(counts)


@dataclass
class _Judged:
    """Sentiments of the reviews of one item that name one aspect."""

    values: list[float] = field(default_factory=list)

    def row(self, aspect: str) -> dict[str, Any]:
        return {
            "aspect": aspect,
            "sentiment": round(sum(self.values) / len(self.values), 3),
            "n_positive": sum(value > POSITIVE for value in self.values),
            "n_negative": sum(value < NEGATIVE for value in self.values),
            "n_reviews": len(self.values),
        }


def item_review(item_id: str, reviews: Sequence[str], vocabulary: Vocabulary) -> dict[str, Any]:
    """The row of `item_reviews` for the reviews of one item."""
    judged: dict[str, _Judged] = {}
    means: list[float] = []
    quotable: list[str] = []
    for review in reviews:
        parts = sentences(review)
        scored = [(part, sentiment(part)) for part in parts]
        means.append(sum(score for _, score in scored) / max(1, len(scored)))
        named: dict[str, list[float]] = {}
        for part, score in scored:
            for aspect in vocabulary.found_in(part, "aspect"):
                named.setdefault(aspect, []).append(score)
        for aspect, scores in named.items():
            judged.setdefault(aspect, _Judged()).values.append(sum(scores) / len(scores))
        quotable += [part for part in parts if _is_quotable(part)]
    aspects = [found.row(aspect) for aspect, found in judged.items()]
    return {
        "item_id": item_id,
        "n_reviews": len(reviews),
        "mean_sentiment": round(sum(means) / len(means), 3),
        "aspects": sorted(aspects, key=lambda row: (-row["n_reviews"], row["aspect"])),
        "snippets": snippets(quotable, vocabulary),
    }


def snippets(quotable: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """The sentences that name most labels, each about something new, without personal data."""
    scored = []
    for part in dict.fromkeys(quotable):
        labels = {label for kind in ("aspect", "theme", "mood") for label in vocabulary.found_in(part, kind)}
        scored.append((len(labels), part, labels))
    said: set[str] = set()
    chosen: list[str] = []
    for _, part, labels in sorted(scored, key=lambda one: (-one[0], len(one[1]), one[1])):
        if labels - said and len(chosen) < SNIPPETS:
            text = scrub(part)
            if len(text) >= SHORTEST:
                chosen.append(text)
                said |= labels
    return chosen


def _is_quotable(part: str) -> bool:
    """Of a useful length, in English letters, not shouted."""
    letters = [char for char in part if char.isalpha()]
    if not SHORTEST <= len(part) <= LONGEST or len(letters) < 0.6 * len(part):
        return False
    ascii_share = sum(char.isascii() for char in letters) / len(letters)
    common = {"the", "a", "is", "it", "and", "of", "to", "this", "you", "i"} & set(tokens(part))
    return ascii_share > 0.95 and len(common) >= 2 and sum(char.isupper() for char in letters) < 0.4 * len(letters)


def by_item(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Review texts of each item, in the order of the rows."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["item_id"], []).append(row["review"])
    return found
