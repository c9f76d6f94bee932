"""Pairs history -> next item, yes or no, as in TALLRec (arXiv 2305.00447): would this user like this item?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ray_tasks.text import as_data, natural_title
from ray_tasks.tuning.pairs import Pair, part_of

LIKED, DISLIKED = 6, 4
"""Items of each list that a prompt names, most recent first."""

PER_ITEM = 2
"""Labels named beside an item."""

MIN_BEFORE = 5
LOOKED_AT = 50
"""Latest events of a user that are looked at for a yes and a no."""

YES, NO = " Yes", " No"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Shelf:
    """What prompts say about items, how popular each is in the training period, and the seed of all draws."""

    kind: str
    titles: Mapping[str, str]
    labels: Mapping[str, Sequence[str]]
    popularity: Mapping[str, int]
    seed: int

    def named(self, item_id: str) -> str:
        """An item in a few words."""
        title = as_data(natural_title(self.titles[item_id]), 45).replace(";", ",")
        labels = ", ".join(self.labels.get(item_id, ())[:PER_ITEM])
        return f"{title} ({labels})" if labels else title


@dataclass(frozen=True)
class Before:
    """What a user had liked and disliked before the target, most recent first."""

    liked: tuple[str, ...]
    disliked: tuple[str, ...]


def next_item_pairs(events: Iterable[Row], shelf: Shelf) -> list[Pair]:
    """At most one yes and one no per user, from events of the training period, in the order of user ids.

    Yes: the latest item that was liked, which is rated at or above the user's mean so far, or chosen where there are
    no ratings. No: the latest item rated below that mean; where there is none, an item that the user has not seen,
    drawn by popularity. The prompt tells only what was strictly earlier than the target.
    """
    known = [row for row in events if row["item_id"] in shelf.titles]
    ordered = sorted(known, key=lambda row: (row["user_id"], row["timestamp"], row["item_id"]))
    drawn = np.random.default_rng(shelf.seed)
    items = sorted(shelf.popularity)
    weights = np.array([shelf.popularity[item_id] for item_id in items], dtype=float)
    cumulative = np.cumsum(weights / weights.sum()) if items else weights
    pairs = []
    for user_id, group in groupby(ordered, key=lambda row: row["user_id"]):
        own = list(group)
        unseen = _unseen(items, cumulative, {row["item_id"] for row in own}, drawn)
        pairs += _of_user(user_id, own, unseen, shelf)
    return pairs


def _of_user(user_id: str, own: Sequence[Row], unseen: str | None, shelf: Shelf) -> list[Pair]:
    found: dict[str, Pair] = {}
    for row in reversed(own[-LOOKED_AT:]):
        verdict, before = _verdict(row, own)
        if verdict:
            found.setdefault(verdict, _pair(user_id, row["item_id"], verdict, before, shelf))
        if len(found) == 2:
            break
    if YES in found and NO not in found and unseen:
        _, before = _verdict(own[-1], own)
        found[NO] = _pair(user_id, unseen, NO, before, shelf)
    return [found[verdict] for verdict in (YES, NO) if verdict in found]


def _verdict(row: Row, own: Sequence[Row]) -> tuple[str | None, Before]:
    """Whether the user liked the item of an event, and what came before; None where too little did."""
    earlier = [one for one in own if one["timestamp"] < row["timestamp"]]
    if len(earlier) < MIN_BEFORE:
        return None, Before((), ())
    ratings = [one["rating"] for one in earlier if one["rating"] is not None]
    mean = sum(ratings) / len(ratings) if ratings else float("-inf")
    liked = [one["item_id"] for one in reversed(earlier) if one["rating"] is None or one["rating"] >= mean]
    disliked = [one["item_id"] for one in reversed(earlier) if one["item_id"] not in liked]
    verdict = YES if row["rating"] is None or row["rating"] >= mean else NO
    return verdict, Before(tuple(liked), tuple(disliked))


def _unseen(items: Sequence[str], cumulative: Any, seen: set[str], drawn: np.random.Generator) -> str | None:
    """An item that the user has not seen, drawn by popularity; None when twenty draws found none."""
    if not items:
        return None
    places = np.minimum(np.searchsorted(cumulative, drawn.random(20)), len(items) - 1)
    return next((items[place] for place in places if items[place] not in seen), None)


def _pair(user_id: str, target: str, verdict: str, before: Before, shelf: Shelf) -> Pair:
    lines = [
        f"Liked: {'; '.join(shelf.named(item_id) for item_id in before.liked[:LIKED]) or 'nothing yet'}",
        f"Disliked: {'; '.join(shelf.named(item_id) for item_id in before.disliked[:DISLIKED]) or 'nothing yet'}",
        f"Next {as_data(shelf.kind, 30)}: {shelf.named(target)}",
        "Liked it:",
    ]
    part, gold = part_of(user_id, shelf.seed), (verdict.strip(),)
    score = _overlap(target, before, shelf.labels)
    return Pair("next_item", "user", user_id, part, "\n".join(lines), verdict, "", gold, score)


def _overlap(target: str, before: Before, labels: Mapping[str, Sequence[str]]) -> float:
    """Share of the target's labels among liked items less that among disliked ones: the rule without a model."""

    def share(item_ids: Sequence[str]) -> float:
        own = set(labels.get(target, ()))
        near = [len(own & set(labels.get(one, ()))) / max(1, len(own)) for one in item_ids]
        return sum(near) / len(near) if near else 0.0

    return share(before.liked) - share(before.disliked)
