"""Prompts about a user's top list: what the items are called, which part of the history is told, and the questions."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Ints, Rows
from ray_tasks.retrieval.text_similarity import Vectors
from ray_tasks.text import as_data, is_order, natural_title
from ray_tasks.tuning.next_item import PER_ITEM

LOOKED_AT = 200
"""Latest history items among which the relevant ones are looked for."""

_FIELD = re.compile(r"\b(liked(?: it)?|disliked|next|chosen|list)\s*:", re.IGNORECASE)
"""Fields of the prompts below, which no title may pose as."""

Similarity = Callable[[Ints, Ints], NDArray[Any]]
"""(history items, candidates) -> (history, candidates): how much each history item speaks for each candidate.

An item-based source's `contributions` is one.
"""


def by_vectors(vectors: Vectors) -> Similarity:
    """Cosine of unit vectors, one per item."""
    return lambda history, candidates: vectors[history] @ vectors[candidates].T


@dataclass(frozen=True)
class Items:
    """What prompts say about items, per catalogue position: title and labels ((), or one tuple each); what one is."""

    titles: Sequence[str]
    labels: Sequence[Sequence[str]] = ()
    kind: str = "item"

    def named(self, item: int) -> str:
        """An item in a few words, in the form that tuning trains on. A text that speaks to the model is left out."""
        labels = ", ".join(self._data(label, 25) for label in self._labels(item) if not is_order(label))
        title = self.titles[item]
        shown = "" if is_order(title) else self._data(natural_title(title), 45)
        shown = shown or f"unnamed {self._data(self.kind, 30)}"
        return f"{shown} ({labels})" if labels else shown

    def _labels(self, item: int) -> Sequence[str]:
        return self.labels[item][:PER_ITEM] if self.labels else ()

    @staticmethod
    def _data(text: str, characters: int) -> str:
        return _FIELD.sub(r"\1", as_data(text, characters)).replace(";", ",")


@dataclass(frozen=True)
class TopLists:
    """The lists to re-rank, and what a model may know of their users.

    `ranked`: (users, k) catalogue positions in the ranker's order, -1 for empty places at the end; row r of
    `histories` are the items that user took before, most recent first; `similarity` finds those that matter.
    """

    ranked: Ints
    histories: Rows
    items: Items
    similarity: Similarity

    def __len__(self) -> int:
        return len(self.ranked)

    def candidates(self, user: int) -> Ints:
        """A user's list."""
        row = self.ranked[user]
        return row[row >= 0]

    def open_to_change(self) -> NDArray[np.bool_]:
        """Users with a history and at least two candidates."""
        return (self.histories.lengths > 0) & ((self.ranked >= 0).sum(axis=1) > 1)

    def told(self, user: int, candidates: Ints, most: int) -> Ints:
        """The user's history items that speak most for any of the candidates, most recent first."""
        history = self.histories[user][:LOOKED_AT]
        if len(history) <= most:
            return history
        strength = np.asarray(self.similarity(history, candidates)).max(axis=1)
        chosen = np.argsort(-np.nan_to_num(strength, nan=-np.inf), kind="stable")[:most]
        return history[np.sort(chosen)]


def yes_no_question(items: Items, liked: Ints, target: int) -> str:
    """Would the user like the target? The form of `tuning.next_item`, so that a tuned model meets what it knows."""
    lines = [
        f"Liked: {'; '.join(items.named(int(item)) for item in liked) or 'nothing yet'}",
        "Disliked: nothing yet",
        f"Next {as_data(items.kind, 30)}: {items.named(target)}",
        "Liked it:",
    ]
    return "\n".join(lines)


def list_question(items: Items, chosen: Ints, options: Ints, letters: Sequence[str]) -> str:
    """Which of the lettered options does the user choose next?"""
    lettered = [
        f"{letter.strip()}: {items.named(int(item))}"
        for letter, item in zip(letters[: len(options)], options, strict=True)
    ]
    told = "; ".join(items.named(int(item)) for item in chosen) or "nothing yet"
    return "\n".join([f"Chosen: {told}", "List:", *lettered, "Next:"])
