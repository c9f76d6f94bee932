"""Profiles without a model: plain sentences from the evidence alone. They satisfy what is demanded of the model's."""

from collections.abc import Sequence
from typing import Any

from ray_tasks.evidence.pieces import Evidence
from ray_tasks.profiles.answers import MOST_CLAIMS, MOST_LABELS, dislike_claims, like_claims, title_of

MANY = 3


def item_template(evidence: Evidence) -> dict[str, Any]:
    """A profile that says what the catalogue says."""
    title, themes = evidence.title or evidence.entity_id, list(evidence.themes[:MOST_LABELS])
    if themes:
        summary = f"{title} has the themes {_join(themes[:MANY])}."
        audience = f"People who are interested in {_join(themes[:MANY])}."
    else:
        summary = f"The catalogue lists {title} without further details."
        audience = "People who are looking for this very item."
    return {
        "summary": summary,
        "audience": audience,
        "themes": themes,
        "moods": list(evidence.moods[:MOST_LABELS]),
        "reasoning": None,
    }


def user_template(evidence: Evidence) -> dict[str, Any]:
    """A profile that says what the user chose."""
    items = {piece.alias: piece.item_id for piece in evidence.pieces if piece.alias}
    likes, dislikes = (
        [{"label": label, "interactions": [items[alias] for alias in names]} for label, names in claims][:MOST_CLAIMS]
        for claims in (like_claims(evidence).items(), dislike_claims(evidence).items())
    )
    themes = [str(claim["label"]) for claim in likes]
    recent = [title_of(piece) for piece in evidence.pieces if piece.role == "recent"][:MANY]
    chose = f"Recently chose {_join([f'“{title}”' for title in recent])}."
    taste = f"Often chooses {_join(themes)}." if evidence.enough else f"Has chosen {_join(themes)} so far."
    return {
        "long_term": taste if themes else "No lasting taste is known yet.",
        "recent_interest": chose if recent else "No recent choice with a known title.",
        "likes": likes,
        "dislikes": dislikes,
        "reasoning": None,
    }


def _join(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
