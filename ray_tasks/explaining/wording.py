"""Sentences of explanations, and clauses to build others of: every claim in them is one that its evidence carries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ray_tasks.text import natural_title

TITLE_LENGTH = 80
QUOTES = str.maketrans("“”„‟", "''''")
PERSONAL = {
    "ease": "Because of {titles} in your history: people who chose {these} often choose this too.",
    "item_item": "Because of {titles} in your history: often chosen by the same people.",
    "transitions": "Because of {titles} in your history: people often choose this soon after {these}.",
    "text": "Because its description is close to {titles} in your history.",
    "profiles": "Because it is of a kind with {titles} in your history.",
    "words": "Because its description shares telling words with {titles} in your history.",
    "ease_text": "Because of {titles} in your history: people who chose {these}, or something like it, choose this.",
}
"""What the sources that can name history items say of them."""
CLAUSES = {
    "ease": "people who chose {these} often choose this too",
    "item_item": "this is often chosen by the same people",
    "transitions": "people often choose this soon after {these}",
    "text": "the descriptions are close to each other",
    "profiles": "they are of a kind",
    "words": "the descriptions share telling words",
    "ease_text": "people who chose {these}, or something like it, choose this",
}
"""The same after the titles, where `this` is the item."""
WHOLE_HISTORY = "Because of {titles} in your history."
NEW = {
    "stated": "It is among what comes closest to what you said you like.",
    "newcomers": "Popular with people who are new here.",
}
EVERYBODY = {
    "popularity": "it is popular with everyone",
    "trending": "many people choose it lately",
    "newcomers": "it is popular with people who are new here",
}
"""Clauses of the sources that say the same to all: no dates in them, so that a text can serve on later nights."""
BEGIN = "Something to begin with."
FITS = "It fits your history as a whole."
NEW_ITEM = "Few have chosen it yet; what is said of it fits your history."


@dataclass(frozen=True)
class Popularity:
    """The window in which recent popularity was counted."""

    days: float
    until: date


def because(source: str | None, titles: Sequence[str]) -> str:
    """That history items speak for an item, by the source that says so, if it is known."""
    return _filled(PERSONAL.get(source or "", WHOLE_HISTORY), titles)


def clause_of(source: str | None, titles: Sequence[str]) -> str:
    """What the source says of the titles; empty where it is unknown."""
    return _filled(CLAUSES.get(source or "", ""), titles)


def popular(recent_count: int, window: Popularity) -> str:
    """That everybody takes an item; `recent_count` is how often it was taken in the window."""
    if not recent_count:
        return "Popular with everyone over time."
    span = "on the day" if window.days <= 1 else f"in the {window.days:g} days"
    return f"Popular with everyone {span} up to {window.until.isoformat()}."


def everybody(source: str, recent_count: int, window: Popularity) -> tuple[str, str]:
    """Sentence and clause: what a source of `EVERYBODY` says."""
    clause = EVERYBODY[source]
    sentence = popular(recent_count, window) if source == "popularity" else f"{clause[0].upper()}{clause[1:]}."
    return sentence, clause


def goes_with(source: str | None, titles: Sequence[str]) -> str:
    """That history items speak for an item, though something else more so, and what the source says of them."""
    clause = clause_of(source, titles)
    return f"It goes with {joined(titles)} in your history{': ' if clause else ''}{clause}."


def shared(names: Sequence[str]) -> tuple[str, str]:
    """Sentence and clause: categories that the item has in common with the titles before it."""
    return f"In common: {joined(names)}.", f"in common {'is' if len(names) == 1 else 'are'} {joined(names)}"


def often_chosen(theme: str) -> tuple[str, str]:
    """Sentence and clause: a theme of the item that the user's profile says the user likes."""
    return f"You often choose {theme}.", f"you often choose {theme}"


def praised(aspect: str, n_positive: int, n_reviews: int) -> tuple[str, str]:
    """Sentence and clause: what reviews that name an aspect of the item say of it."""
    said = f"{n_positive} of {n_reviews} reviews that speak of its {aspect} praise it"
    return f"{said}.", said


def quoted(title: str) -> str:
    """A title between quotation marks that it cannot close itself."""
    return f"“{shortened(natural_title(title).translate(QUOTES)) or '?'}”"


def shortened(text: str) -> str:
    """One line of printable characters, cut at TITLE_LENGTH."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= TITLE_LENGTH else f"{line[: TITLE_LENGTH - 1].rstrip()}…"


def joined(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def _filled(template: str, titles: Sequence[str]) -> str:
    return template.format(titles=joined(titles), these="it" if len(titles) == 1 else "them")
