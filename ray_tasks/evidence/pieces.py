"""What a prompt tells about one item or user: pieces of evidence, each of which a profile can be held against."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

OLDER = "earlier"
"""Role of an item that stands for a group of older ones; which one does may change from night to night."""

OF_HISTORY = frozenset({"recent", OLDER, "disliked"})
"""Roles of pieces that are items of a user's history."""

CONTEXT = frozenset({"like"})
"""Roles that help the model but say nothing about the entity itself: a change in them makes no profile stale."""


@dataclass(frozen=True)
class Piece:
    """One piece of evidence.

    `role` is what it is (`facts`, `review`, `like`; for users `recent`, `earlier`, `disliked`, `review`, `said`);
    `text` is what the prompt says, already plain data; `alias` names it in prompt and answer (users only); `labels`
    are the themes that it supports.
    """

    role: str
    text: str
    item_id: str | None = None
    alias: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that a prompt tells about one item or user, and the labels that its profile may use.

    `title` is what the text may call it; `is_told` says whether the evidence tells what happens in the item, so that
    a profile may; `enough` is False where there is too little to ask a model.
    """

    entity_id: str
    title: str
    lines: tuple[str, ...]
    pieces: tuple[Piece, ...]
    themes: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    is_told: bool = False
    enough: bool = True

    @property
    def text(self) -> str:
        """The lines of the prompt about this entity."""
        return "\n".join(self.lines)

    def supporting(self, label: str, *roles: str) -> tuple[Piece, ...]:
        """The named pieces of some roles that support a label, in the prompt's order."""
        return tuple(p for p in self.pieces if p.alias and label in p.labels and p.role in roles)

    def rows(self) -> list[dict[str, Any]]:
        """As the tables keep it: role, item_id and text of each piece."""
        return [{"role": piece.role, "item_id": piece.item_id, "text": piece.text} for piece in self.pieces]


def within_budget(pieces: Iterable[Piece], count: Callable[[str], int], budget: int) -> tuple[Piece, ...]:
    """The first pieces whose texts together take at most `budget` tokens; the first one always stays."""
    kept: list[Piece] = []
    for piece in pieces:
        budget -= count(piece.text)
        if kept and budget < 0:
            break
        kept.append(piece)
    return tuple(kept)


def new_share(tonight: Sequence[Piece], earlier: Iterable[dict[str, Any]]) -> float:
    """Share of tonight's pieces, context left out, that tell what an earlier evidence list did not; 1 if it held none.

    An item of a history is known once it was listed, whatever labels it has tonight; one that stands for older history
    is never news. All else is known by its text.
    """
    before = list(earlier)
    items = {row["item_id"] for row in before if row["role"] in OF_HISTORY}
    texts = {(row["item_id"], row["text"]) for row in before if row["role"] not in CONTEXT}

    def is_new(piece: Piece) -> bool:
        if piece.role in OF_HISTORY:
            return piece.item_id not in items and not (piece.role == OLDER and items)
        return (piece.item_id, piece.text) not in texts

    own = [piece for piece in tonight if piece.role not in CONTEXT]
    return sum(map(is_new, own)) / len(own) if own else 0.0
