"""Before any recommendation: a paragraph that tells users what their profiles claim of them, and by which items.

One or two choices are no taste yet: of users with so few it tells what they chose.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ray_tasks.explaining.statements import Item
from ray_tasks.explaining.wording import joined, quoted
from schemas.tables.taste_summaries import TASTE_SUMMARIES

TOO_LITTLE = "too_little_evidence"
"""The reason of a profile that rests on one or two choices."""
MOST_LIKES, MOST_TITLES, MOST_DISLIKES, MOST_AVOIDED = 3, 2, 1, 2
ABOUT_YOU = (
    ("Enjoys ", "You enjoy "),
    ("Often chooses ", "You often choose "),
    ("Recently chose ", "You recently chose "),
    ("Lately ", "Lately "),
)
"""How a profile's sentence begins, and how it begins where it speaks to the user; others are left out."""


def taste_summaries(profiles: pa.Table, items: Mapping[str, Item]) -> pa.Table:
    """Rows of `taste_summaries` for rows of `user_profiles`."""
    return pa.Table.from_pylist(
        [_row(profile, items) for profile in profiles.to_pylist()], schema=TASTE_SUMMARIES.schema
    )


def _row(profile: Mapping[str, Any], items: Mapping[str, Item]) -> dict[str, Any]:
    likes = [] if profile["reason"] == TOO_LITTLE else profile["likes"]
    said = [*_sentences(profile), *_likes(likes, items), *_refusals(profile, items)]
    return {
        "user_id": profile["user_id"],
        "text": " ".join(one["text"] for one in said) or "There is not yet enough to tell your taste by.",
        "statements": said,
        "source": profile["source"],
    }


def _sentences(profile: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The profile's own sentences, spoken to the user."""
    found = []
    for kind, sentence in (("long_term", profile["long_term"]), ("recent", profile["recent_interest"])):
        start = next(((told, you) for told, you in ABOUT_YOU if sentence.startswith(told)), None)
        if start:
            items = [piece["item_id"] for piece in profile["evidence"] if piece["role"] == "recent"]
            text = f"{start[1]}{sentence.removeprefix(start[0])}"
            found.append(_statement(kind, text, items if kind == "recent" else []))
    return found


def _likes(likes: Sequence[Mapping[str, Any]], items: Mapping[str, Item]) -> list[dict[str, Any]]:
    """The strongest likes, each with its share and titles that show it."""
    found = []
    for claim in sorted(likes, key=lambda claim: -claim["strength"])[:MOST_LIKES]:
        if shown := _shown(claim, items):
            share = f"{round(100 * claim['strength'])}% of what you liked"
            found.append(_statement("like", f"{share} is {claim['label']}{_such_as(shown, items)}.", shown))
    return found


def _refusals(profile: Mapping[str, Any], items: Mapping[str, Item]) -> list[dict[str, Any]]:
    """What the user disliked, and chooses less often than others do."""
    found = []
    for claim in profile["dislikes"][:MOST_DISLIKES]:
        if shown := _shown(claim, items):
            text = f"Less to your liking: {claim['label']}{_such_as(shown, items)}."
            found.append(_statement("dislike", text, shown))
    avoided = profile["avoided"][:MOST_AVOIDED]
    return [*found, *([_statement("avoided", f"You seldom choose {joined(avoided)}.", [])] if avoided else [])]


def _shown(claim: Mapping[str, Any], items: Mapping[str, Item]) -> list[str]:
    """Items of a claim that have a title to name."""
    return [item_id for item_id in claim["interactions"] if item_id in items][:MOST_TITLES]


def _such_as(item_ids: Sequence[str], items: Mapping[str, Item]) -> str:
    return f", such as {joined([quoted(items[item_id].title) for item_id in item_ids])}"


def _statement(kind: str, text: str, item_ids: Sequence[str]) -> dict[str, Any]:
    return {"kind": kind, "text": text, "item_ids": list(item_ids)}
