"""Sentences of reviews that a prompt may show: telling, each about something new, without personal data."""

import re
from collections.abc import Sequence

from ray_tasks.privacy.scrubbing import scrub
from ray_tasks.text import words
from ray_tasks.vocabulary.labels import KINDS, Vocabulary, stems, tokens

MOST, SHORTEST, LONGEST = 3, 40, 160
"""Sentences per item; characters of one."""

ALIKE = 0.5
"""Two sentences that share this part of their words say the same."""

_ENGLISH = frozenset(words("the this and is it of you with for that are was were but its has have not"))
_PRIVATE = re.compile(
    r"\bmy (?:\d+ ?-?(?:year|yr)s?|(?:\w+ )?(?:son|daughter|wife|husband|kids?|child|children|mother|father|mom|dad|"
    r"brother|sister|girlfriend|boyfriend|grand\w+|nephew|niece|family|boss|doctor))\b",
    re.IGNORECASE,
)
"""Who a reviewer lives with tells nothing about the item."""

_NOISE = re.compile(r"https?:|www\.|\bplease\b|\bplz\b|\bedit\s*:|(.)\1{3}|\u2665|[{}<>\[\]|]", re.IGNORECASE)
_WHOLE = re.compile(r"[A-Z\"'].*[.!?]$")
_ADVICE = re.compile(r"\b(?:recommend\w*|buy|bought|purchase\w*|ordered|\d+/10)\b", re.IGNORECASE)

Scored = tuple[str, float]
"""A sentence and its sentiment."""


def choose(sentences: Sequence[Scored], mean: float, vocabulary: Vocabulary) -> list[str]:
    """At most MOST sentences that name the most labels, agree with the mean sentiment and are whole.

    Each names a label that those before it do not, and has other words. Ties go by length, then by text.
    """
    ranked = []
    for text, sentiment in dict(sentences).items():
        if is_quotable(text):
            labels = {label for kind in KINDS for label in vocabulary.found_in(text, kind)}
            worth = (
                min(3, len(labels)) + (sentiment * mean > 0.02) + bool(_WHOLE.match(text)) - bool(_ADVICE.search(text))
            )
            ranked.append((-worth, len(text), text, labels))
    said: set[str] = set()
    chosen: list[str] = []
    for _, _, text, labels in sorted(ranked, key=lambda one: one[:3]):
        if len(chosen) < MOST and labels - said and not any(_alike(text, other) for other in chosen):
            cleaned = " ".join(scrub(text).split())
            if SHORTEST <= len(cleaned) <= LONGEST:
                chosen.append(cleaned)
                said |= labels
    return chosen


def is_quotable(text: str) -> bool:
    """Of a useful length, in English letters, neither shouted nor torn, and about the item rather than the writer."""
    letters = [char for char in text if char.isalpha()]
    if not SHORTEST <= len(text) <= LONGEST or len(letters) < 0.7 * len(text):
        return False
    if not text[0].isalnum() or _NOISE.search(text) or _PRIVATE.search(text):
        return False
    if sum(map(str.isascii, letters)) < 0.97 * len(letters) or sum(map(str.isupper, letters)) > 0.3 * len(letters):
        return False
    return len(_ENGLISH & set(tokens(text))) >= 2


def _alike(one: str, other: str) -> bool:
    first, second = set(stems(one).split()), set(stems(other).split())
    return len(first & second) >= ALIKE * min(len(first), len(second))
