"""Evidence of a user: recent items, representatives of what came before, dislikes, own reviews, stated wishes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from ray_tasks.evidence.catalogue import Catalogue
from ray_tasks.evidence.pieces import Evidence, Piece, within_budget
from ray_tasks.evidence.tastes import Opinions, Taste, distinctive
from ray_tasks.privacy.scrubbing import scrub
from ray_tasks.text import as_data, is_order, natural_title

RECENT, EARLIER, DISLIKED, REVIEWS, WISHES = 4, 4, 2, 1, 2
"""Items of each role that a prompt names at most, own reviews and stated wishes that it quotes."""

PER_ITEM = 3
"""Themes named beside an item: the user's most distinctive of those that it has."""

MOST_THEMES, OFTEN = 6, 3
"""Themes that claims may be about, and of these how many the prompt names as the most distinctive."""

HEADINGS = {"recent": "Recent", "earlier": "Earlier", "disliked": "Disliked", "review": "Review", "said": "Said"}


@dataclass(frozen=True)
class UserFacts:
    """What is known of a user beside the history: own reviews, wishes in words (newest first), feedback on items."""

    reviews: Mapping[str, str] = field(default_factory=dict)
    wishes: Sequence[str] = ()
    feedback: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Windows:
    """A user's liked items in two windows that share none: the recent tail, and representatives of all before it."""

    recent: tuple[str, ...]
    earlier: tuple[str, ...]
    disliked: tuple[str, ...]


def windows(found: Opinions, catalogue: Catalogue) -> Windows:
    """The recent tail as it is; of what came before, the medoids of its clusters: tastes, however long ago."""
    known = catalogue.places
    liked = [item_id for item_id in found.liked if item_id in known]
    recent, before = liked[:RECENT], liked[RECENT:]
    medoids = catalogue.medoids([known[item_id] for item_id in before], EARLIER)
    disliked = [item_id for item_id in found.disliked if item_id in known][:DISLIKED]
    return Windows(tuple(recent), tuple(catalogue.item_ids[place] for place in medoids), tuple(disliked))


def user_evidence(
    user_id: str,
    taste: Taste,
    catalogue: Catalogue,
    usual: Mapping[str, float],
    count: Callable[[str], int],
    budget: int,
    known: UserFacts | None = None,
) -> Evidence:
    """Evidence of a user, at most `budget` tokens long. `usual` is `tastes.typical` of all users."""
    facts = known or UserFacts()
    chosen = windows(taste.opinions, catalogue)
    order = distinctive(taste.likes, usual, 1_000)
    roles = {"recent": chosen.recent, "earlier": chosen.earlier, "disliked": chosen.disliked}
    pieces = [_item(catalogue, role, item_id, order) for role, ids in roles.items() for item_id in ids]
    kept = _named(within_budget(_interleaved([*pieces, *_words(facts, catalogue)]), count, budget))
    own = {label for piece in kept if piece.role in ("recent", "earlier") for label in piece.labels}
    # What is chosen less than usual is no taste, even where a few of many choices have it.
    own -= set(taste.avoided)
    themes = tuple(sorted(own, key=order.index))[:MOST_THEMES]
    return Evidence(
        entity_id=user_id,
        title="",
        lines=(*_lines(kept), f"Often: {', '.join(themes[:OFTEN]) or 'various'}"),
        pieces=kept,
        themes=themes,
        enough=len(taste.opinions.liked) >= 3,
    )


def _item(catalogue: Catalogue, role: str, item_id: str, order: Sequence[str]) -> Piece:
    place = catalogue.places[item_id]
    title = as_data(natural_title(catalogue.titles[place]), 45).replace(";", ",")
    title = "an item" if is_order(title) or not title else title
    rank = {label: at for at, label in enumerate(order)}
    themes = sorted(catalogue.themes[place], key=lambda label: (rank.get(label, len(rank)), label))[:PER_ITEM]
    return Piece(role, f"{title} ({', '.join(themes)})" if themes else title, item_id, labels=tuple(themes))


def _words(facts: UserFacts, catalogue: Catalogue) -> list[Piece]:
    """Own reviews and wishes, without personal data."""
    reviews = [
        Piece("review", as_data(scrub(text), 120), item_id)
        for item_id, text in list(facts.reviews.items())[:REVIEWS]
        if item_id in catalogue.places
    ]
    wishes = [Piece("said", as_data(scrub(text), 120)) for text in facts.wishes[:WISHES]]
    return [piece for piece in [*wishes, *reviews] if piece.text]


def _interleaved(pieces: Sequence[Piece]) -> list[Piece]:
    """In the order in which a budget should keep them: the first of each role, then the second of each, ..."""
    turn: dict[str, int] = {}
    numbered = []
    for piece in pieces:
        turn[piece.role] = turn.get(piece.role, 0) + 1
        numbered.append((turn[piece.role], piece))
    return [piece for _, piece in sorted(numbered, key=lambda pair: pair[0])]


def _named(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Sorted by role as the prompt shows them, the items named A, B, C, ..."""
    roles = list(HEADINGS)
    names = iter(ascii_uppercase)
    ordered = sorted(pieces, key=lambda piece: roles.index(piece.role))
    return tuple(
        Piece(p.role, p.text, p.item_id, next(names) if p.role in roles[:3] else "", p.labels) for p in ordered
    )


def _lines(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """One line per role; reviews say which item they are about."""
    names = {piece.item_id: piece.alias for piece in pieces if piece.alias}
    lines = []
    for role, heading in HEADINGS.items():
        told = [piece for piece in pieces if piece.role == role]
        about = f" of {names[told[0].item_id]}" if role == "review" and told and told[0].item_id in names else ""
        if told:
            lines.append(f"{heading}{about}: {'; '.join(f'{p.alias} {p.text}'.strip() for p in told)}")
    return tuple(lines)
