"""What is true of a recommendation: statements that name what they rest on, the most telling first.

The first ones say what put the item on the list: the history items that made a personal source propose it, and that
many take it, where the source without which its score would lose most says so. The others are what item and user have
in common by their profiles, and what reviews praise. A text, by template or by the language model, is made of these and
of nothing else: what is ranked instead of generated cannot be invented (Kabongo et al. 2026, Rank, Don't Generate,
arXiv 2604.03724).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_tasks.explaining import wording
from ray_tasks.explaining.wording import PERSONAL, Popularity, quoted, shortened

MOST_SHARED = 3
"""Categories in common that one statement names."""
FEWEST_REVIEWS = 3
"""Reviews that must speak of an aspect before their praise is passed on."""
UNTOLD = 4
"""Reviews without praise that are thought beside those there are, so that three of three weigh less than thirty."""


@dataclass(frozen=True)
class Item:
    """What an explanation may say of an item: data, however odd, never markup or instructions.

    `praised` are aspects with the numbers of reviews that praise them and that name them at all.
    """

    title: str
    categories: tuple[str, ...] = ()
    themes: tuple[str, ...] = ()
    praised: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True)
class Statement:
    """One thing that is true of an item for a user.

    `kind`: `popular`, `chosen`, `new` or `whole` for what put it on the list; `shared`, `taste` or `praise` for what
    else speaks for it. `clause` says the same within a sentence, after the history items; empty where it cannot.
    `item_ids` are history items that carry it; `weight` in [0, 1] is how much it tells, 1 for what put it there, and
    `source` is the candidate source that it speaks for, if one.
    """

    kind: str
    sentence: str
    clause: str
    item_ids: tuple[str, ...] = ()
    weight: float = 1.0
    source: str | None = None

    def row(self) -> dict[str, Any]:
        """As the table keeps it."""
        return {"kind": self.kind, "text": self.sentence, "item_ids": list(self.item_ids), "weight": self.weight}


@dataclass(frozen=True)
class Usual:
    """Shares of the catalogue's items that have each category and each theme: what many have tells little."""

    categories: Mapping[str, float]
    themes: Mapping[str, float]

    @classmethod
    def of(cls, items: Mapping[str, Item]) -> "Usual":
        """Of a catalogue."""
        return cls(_shares([item.categories for item in items.values()]), _shares([i.themes for i in items.values()]))


@dataclass(frozen=True)
class Like:
    """What a user's profile claims that the user likes: how strongly, in (0, 1], and by which items of the history."""

    strength: float
    item_ids: tuple[str, ...]


def statements(
    sources: Sequence[str],
    item: Item,
    cited: Mapping[str, Item],
    likes: Mapping[str, Like],
    usual: Usual,
    recent_count: int,
    popularity: Popularity,
    is_new: bool = False,
) -> list[Statement]:
    """All that can be said for an item, what put it on the list first, then by weight.

    `sources`: what proposed it, strongest first. `cited`: history items that speak for it, strongest first. `likes`: by
    theme. `recent_count`: how often it was taken in the popularity window. `is_new`: the user has no history.
    """
    if is_new:
        source = next((one for one in (*wording.NEW, "popularity") if one in sources), None)
        sentence = wording.popular(recent_count, popularity) if source == "popularity" else wording.BEGIN
        return [Statement("new", wording.NEW.get(source or "", sentence), "", source=source)]
    names = shared_categories(item, list(cited.values()))
    tastes = {theme: like for theme, like in likes.items() if theme.lower() not in map(str.lower, names)}
    further = [*_shared(item, names, tuple(cited), usual), *_tastes(item, tastes, usual), *_praise(item)]
    ordered = sorted(further, key=lambda one: (-one.weight, one.sentence))
    return [*_reasons(sources, cited, recent_count, popularity), *_one_of_each(ordered)]


def _reasons(
    sources: Sequence[str], cited: Mapping[str, Item], recent_count: int, popularity: Popularity
) -> list[Statement]:
    """What put an item on the list of a user with a history.

    What is the user's own comes first, also where the other weighs more: "because of" is said where it weighs most.
    """
    asked = sources[:1] if cited else sources
    for_all = [one for one in asked if one in wording.EVERYBODY][:1]
    popular = [Statement("popular", *wording.everybody(one, recent_count, popularity), source=one) for one in for_all]
    if not cited:
        is_new = sources[0] == "new_items"
        return popular or [Statement("whole", wording.NEW_ITEM if is_new else wording.FITS, "", source=sources[0])]
    titles = [quoted(one.title) for one in cited.values()]
    source = next((one for one in sources if one in PERSONAL), None)
    sentence = (wording.goes_with if popular else wording.because)(source, titles)
    chosen = Statement("chosen", sentence, wording.clause_of(source, titles), tuple(cited), source=source)
    return [chosen, *popular]


def _shared(item: Item, names: Sequence[str], item_ids: tuple[str, ...], usual: Usual) -> list[Statement]:
    if not names:
        return []
    weight = 1 - min(usual.categories.get(name, 0.0) for name in item.categories if shortened(name) in names)
    return [Statement("shared", *wording.shared(names), item_ids, round(weight, 4))]


def _tastes(item: Item, likes: Mapping[str, Like], usual: Usual) -> list[Statement]:
    return [
        Statement(
            "taste",
            *wording.often_chosen(theme),
            likes[theme].item_ids,
            round(likes[theme].strength * (1 - usual.themes.get(theme, 0.0)), 4),
        )
        for theme in item.themes
        if theme in likes
    ]


def _praise(item: Item) -> list[Statement]:
    return [
        Statement("praise", *wording.praised(aspect, positive, reviews), (), round(positive / (reviews + UNTOLD), 4))
        for aspect, positive, reviews in item.praised
        if reviews >= FEWEST_REVIEWS and 2 * positive > reviews
    ]


def _one_of_each(found: Sequence[Statement]) -> list[Statement]:
    """The first statement of each kind: one is enough."""
    first: dict[str, Statement] = {}
    for one in found:
        first.setdefault(one.kind, one)
    return list(first.values())


def shared_categories(item: Item, cited: Sequence[Item], most: int = MOST_SHARED) -> list[str]:
    """Categories that the item shares with every cited item, in the item's order; none without any."""
    if not cited:
        return []
    others = [set(one.categories) for one in cited]
    found = (shortened(name) for name in item.categories if all(name in other for other in others))
    return list(dict.fromkeys(name for name in found if name))[:most]


def text_of(said: Sequence[Statement]) -> str:
    """The template: the statements' sentences."""
    return " ".join(one.sentence for one in said)


def _shares(labels: Sequence[Sequence[str]]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for some in labels:
        for label in set(some):
            counts[label] = counts.get(label, 0) + 1
    return {label: count / len(labels) for label, count in counts.items()}
