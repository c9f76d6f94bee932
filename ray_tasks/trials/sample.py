"""Which items and users a comparison looks at, and which choice of each user it keeps back."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_tasks.evidence.tastes import opinions
from ray_tasks.evidence.users import UserFacts

Row = Mapping[str, Any]

FEWEST_EARLIER = 5
"""Items that a user must have before the one that is kept back."""


def shuffled(ids: Iterable[str], seed: int) -> list[str]:
    """Ids in the order of a hash of seed and id: the same ids in every run, whatever else the catalogue holds."""
    return sorted(ids, key=lambda one: (hashlib.sha256(f"{seed}\0{one}".encode()).digest(), one))


@dataclass(frozen=True)
class HeldOut:
    """A user's history up to the last liked item, which is kept back: what a profile is tried on."""

    history: Row
    target: str

    @property
    def user_id(self) -> str:
        """The user."""
        return str(self.history["user_id"])


def hold_out(history: Row) -> HeldOut | None:
    """Keep back the last liked item, and drop all that came with it or later, and every other visit to it.

    None where fewer than FEWEST_EARLIER items are left. `history["items"]` is most recent first.
    """
    liked = opinions(history["items"]).liked
    if not liked:
        return None
    target = liked[0]
    when = next(entry["timestamp"] for entry in history["items"] if entry["item_id"] == target)
    earlier = [entry for entry in history["items"] if entry["timestamp"] < when and entry["item_id"] != target]
    if len(earlier) < FEWEST_EARLIER:
        return None
    return HeldOut({**history, "items": earlier, "n_interactions": len(earlier)}, target)


def facts_before(held: HeldOut, facts: UserFacts | None) -> UserFacts:
    """Reviews of and feedback on the items that the shortened history still holds.

    Wishes carry no time here and could be later than the target: they are left out.
    """
    known = facts or UserFacts()
    left = {entry["item_id"] for entry in held.history["items"]}
    return UserFacts(
        {item_id: text for item_id, text in known.reviews.items() if item_id in left},
        (),
        {item_id: verdict for item_id, verdict in known.feedback.items() if item_id in left},
    )


def first_held_out(histories: Sequence[Row], items: frozenset[str], seed: int, most: int) -> list[HeldOut]:
    """The first users, in shuffled order, of whom something can be kept back that the catalogue knows."""
    by_user = {row["user_id"]: row for row in histories}
    found: list[HeldOut] = []
    for user_id in shuffled(by_user, seed):
        held = hold_out(by_user[user_id])
        if held is not None and held.target in items:
            found.append(held)
        if len(found) == most:
            break
    return found
