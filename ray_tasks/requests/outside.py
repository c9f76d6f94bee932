"""Requests that no list of this catalogue answers, and why."""

import re
from collections.abc import Collection

from ray_tasks.language import english
from ray_tasks.requests.reading import Reading
from ray_tasks.text import is_order
from ray_tasks.vocabulary.labels import stems, tokens

REASONS = ("empty", "hostile", "language", "unclear", "off_topic")
"""Without words; orders to a model or questions about others; not in English; no words of it known; about no item."""
ENGLISH = 0.005
"""Chance of English below which a request counts as being in another language."""
KNOWN = 0.5
"""Share of a request's words that the catalogue must know for it to be clear."""
NEAR_ITEM, NEAR_LABEL = 0.30, 0.11
"""Tuned on the labelled requests of `validation`."""

_HOSTILE = re.compile(
    r"</?\s*\w+\s*>|\b(?:drop|truncate)\s+table\b|^\s*system\s*:|\byou are now\b|\bact as an?\b|\bpretend\b"
    r"|\bunrestricted\b|\b(?:other|all|every)\s+users?\b|\busers?['\u2019]?s?\s+\d+|\bpasswords?\b"
    r"|\brepeat the (?:text|words)\b",
    re.IGNORECASE,
)


def refusal(text: str) -> str | None:
    """Why a request is not read at all: empty, hostile or in another language; None if it is to be read."""
    if not any(char.isalnum() for char in text):
        return "empty" if not text.strip() else "unclear"
    if is_order(text) or _HOSTILE.search(text):
        return "hostile"
    return "language" if english(text) < ENGLISH else None


def misses(text: str, reading: Reading, known: Collection[str], similarity: float, strength: float) -> str | None:
    """Why a request that was read is outside: unclear or off_topic; None if it can be answered.

    `known` are stems of the catalogue's words. A request that names nothing is about no item where it is far from every
    item (`similarity`, a cosine) or from every label (`strength`, see LabelLinks).
    """
    if reading.constraints or reading.unsupported:
        return None
    words = [stems(word) for word in tokens(text)]
    if sum(word in known for word in words) < KNOWN * len(words):
        return "unclear"
    return "off_topic" if similarity < NEAR_ITEM or strength < NEAR_LABEL else None
