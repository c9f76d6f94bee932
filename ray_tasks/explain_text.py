"""Templates of explanations: every claim in a sentence is one that its evidence carries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

TITLE_LENGTH = 80
QUOTES = str.maketrans("“”„‟", "''''")
PERSONAL = {
    "ease": "Because of {titles} in your history: people who chose {these} often choose this too.",
    "item_item": "Because of {titles} in your history: often chosen by the same people.",
    "transitions": "Because of {titles} in your history: people often choose this soon after {these}.",
    "text": "Because its description is close to {titles} in your history.",
    "profiles": "Because what it is, and for whom, is close to {titles} in your history.",
    "words": "Because its description shares telling words with {titles} in your history.",
    "ease_text": "Because of {titles} in your history: people who chose {these}, or something like it, choose this.",
}
WHOLE_HISTORY = "Because of {titles} in your history."
NEW = {
    "stated": "It is among what comes closest to what you said you like.",
    "newcomers": "Popular with people who are new here.",
}
BEGIN = "Something to begin with."
WITH_POPULARITY = "{popular} It also goes with {titles} in your history."


@dataclass(frozen=True)
class Item:
    """What an explanation may say of an item: data, however odd, never markup or instructions."""

    title: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Popularity:
    """The window in which recent popularity was counted."""

    days: float
    until: date


def explain(
    sources: Sequence[str],
    item: Item,
    evidence: Sequence[Item],
    recent_count: int,
    popularity: Popularity,
    is_new: bool = False,
) -> str:
    """One or two sentences on why an item is recommended.

    `sources`: what proposed it, strongest first. `evidence`: history items that speak for it, strongest first.
    `recent_count`: how often it was taken in the popularity window. `is_new`: the user has no history.
    """
    popular = _popular(recent_count, popularity)
    if is_new:
        other = popular if "popularity" in sources else BEGIN
        return next((text for source, text in NEW.items() if source in sources), other)
    titles = _joined([quoted(one.title) for one in evidence])
    if not evidence:
        other = NEW["newcomers"] if sources[0] == "newcomers" else "It fits your history as a whole."
        return popular if "popularity" in sources else other
    if sources[0] == "popularity":
        lead = WITH_POPULARITY.format(popular=popular, titles=titles)
    else:
        template = next((PERSONAL[one] for one in sources if one in PERSONAL), WHOLE_HISTORY)
        lead = template.format(titles=titles, these="it" if len(evidence) == 1 else "them")
    shared = shared_categories(item, evidence)
    return f"{lead} In common: {_joined(shared)}." if shared else lead


def shared_categories(item: Item, evidence: Sequence[Item], most: int = 3) -> list[str]:
    """Categories that the item shares with every item of the evidence, in the item's order."""
    others = [set(one.categories) for one in evidence]
    shared = (shortened(name) for name in item.categories if all(name in other for other in others))
    return list(dict.fromkeys(name for name in shared if name))[:most]


def quoted(title: str) -> str:
    """A title between quotation marks that it cannot close itself."""
    return f"“{shortened(title.translate(QUOTES)) or '?'}”"


def shortened(text: str) -> str:
    """One line of printable characters, cut at TITLE_LENGTH."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= TITLE_LENGTH else f"{line[: TITLE_LENGTH - 1].rstrip()}…"


def items_by_id(rows: Mapping[str, Sequence[Any]]) -> dict[str, Item]:
    """Items by id, from columns `item_id`, `title` and `categories`."""
    columns = zip(rows["item_id"], rows["title"], rows["categories"], strict=True)
    return {key: Item(title, tuple(names or ())) for key, title, names in columns}


def _popular(recent_count: int, window: Popularity) -> str:
    if not recent_count:
        return "Popular with everyone over time."
    span = "on the day" if window.days <= 1 else f"in the {window.days:g} days"
    return f"Popular with everyone {span} up to {window.until.isoformat()}."


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
