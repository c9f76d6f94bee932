"""Is a text one of its own? Not a loop, not a copy of an example or of the prompt, and in the language of profiles."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from ray_tasks.language import language
from ray_tasks.text import words

LANGUAGE_FROM = 40
"""Characters from which a text's language can be told."""

RUN = 7
"""So many words of the evidence in a row are a copy of it."""

_ORDERS = re.compile(r"\b(ignore|disregard|forget)\b.{0,40}\b(instruction|prompt|rule)|\bsystem prompt\b|\bas an ai\b")
_LABELS = re.compile(
    r"\b(Facts|Recent|Earlier|Disliked|Often|Said|Reviews?|Like|Profile|Item|Summary|Audience|Themes):"
)
_NAMED = re.compile(r"(?:^|such as |, |and )[B-HJ] [A-Z][a-z]")
_LISTS = re.compile(r"\([a-z][^()]*\)(?=;|$)", re.MULTILINE)
_COMMON = frozenset(words("the and with from that for who are has enjoy enjoys people such game games"))


def repeats(text: str, vocabulary: frozenset[str]) -> bool:
    """Whether a sentence has a content word thrice, a theme or a phrase twice, or a word twice around `and`."""
    found = words(text)
    content = Counter(word for word in found if len(word) > 3 and word not in _COMMON)
    pairs = Counter(pair for pair in pairwise(found) if not set(pair) & _COMMON and min(map(len, pair)) > 2)
    around = list(zip(found, found[1:], found[2:], strict=False))
    return (
        any(count >= 3 or (count == 2 and word in vocabulary) for word, count in content.items())
        or any(count >= 2 for count in pairs.values())
        or len(set(around)) < len(around)
        or any(a == b for a, b in pairwise(found))
        or any(a == c and b in ("and", "or") for a, b, c in around)
    )


def alike(texts: Sequence[str]) -> bool:
    """Whether two of the texts are the same."""
    return len({text.strip().lower() for text in texts}) < len(texts)


def copies(texts: Sequence[str], own: str, shots: Sequence[str]) -> bool:
    """Whether a text is a whole sentence of an example, or has an example's title that is not the entity's own."""
    lowered = own.lower()
    examples = {quoted.lower() for shot in shots for quoted in re.findall(r'"([^"]{20,})"', shot)}
    titles = {found for shot in shots for found in _shot_titles(shot)}
    said = [text.lower().strip() for text in texts]
    return any(s in examples for s in said) or any(t in s and t not in lowered for s in said for t in titles)


@cache
def _shot_titles(shot: str) -> frozenset[str]:
    """Titles that an example names: of its item, or of the items that its person chose."""
    lines = shot.split("Profile:", maxsplit=1)[0].splitlines()
    listed = [part for line in lines for part in line.split(": ", 1)[-1].split("; ")]
    cleaned = (re.sub(r"^[A-Z] |\s*\(.*\)$", "", part).strip().lower() for part in listed)
    return frozenset(title for title in cleaned if title.count(" ") >= 1 and "," not in title)


def echoes(text: str, evidence: str) -> bool:
    """Whether a text has the prompt's labels, its way to list items, a run of its words, or an item's orders.

    Nor may it be nothing but words of the item's title in their order.
    """
    if _LABELS.search(text) or _ORDERS.search(text.lower()):
        return True
    if evidence.startswith("Recent:"):
        return bool(_NAMED.search(text)) or any(listed in text for listed in _LISTS.findall(evidence))
    head, told, said = (re.findall(r"[\w'-]+", part.lower()) for part in (*evidence.split("\n", 1), text))
    alone = " ".join(said[1:] if said[:1] in (["a"], ["an"], ["the"]) else said)
    return bool(_runs(told) & _runs(said)) or f" {alone} " in f" {' '.join(head[1:])} "


def _runs(found: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(found[at : at + RUN]) for at in range(len(found) - RUN + 1)}


def is_foreign(text: str, own: str) -> bool:
    """Whether a text is not English, names and titles of the evidence left out."""
    known = set(words(own))
    rest = " ".join(word for word in text.split() if word.strip(".,;:").lower() not in known)
    if len(rest) < LANGUAGE_FROM:
        return sum(char.isascii() for char in text) < 0.9 * len(text)
    return language(rest) != "en"
