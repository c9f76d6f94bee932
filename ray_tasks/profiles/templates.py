"""Profiles without a model: plain sentences from the evidence alone."""

from ray_tasks.profiles.checks import ItemProfile, UserProfile
from ray_tasks.profiles.prompts import Evidence

MANY = 3


def item_template(evidence: Evidence, categories: list[str]) -> ItemProfile:
    """A profile that says what the catalogue says."""
    title = evidence.title or evidence.entity_id
    named = [category[:40].strip().lower() for category in categories if category.strip()][:5]
    if named:
        summary = f"{title} is listed under {_join(named[:MANY])}."
        audience = f"People who are interested in {_join(named[:MANY])}."
    else:
        summary = f"The catalogue lists {title} without further details."
        audience = "People who are looking for this very item."
    themes = tuple(dict.fromkeys(term for term in named if len(term) > 1)) or (title[:40].strip().lower(),)
    return ItemProfile.model_construct(summary=summary, audience=audience, themes=themes)


def user_template(evidence: Evidence, titles: list[str]) -> UserProfile:
    """A profile that says what the user chose."""
    often = [category.lower() for category in evidence.facts][:5]
    chosen = _join([f"“{title}”" for title in titles[:MANY]]) if titles else "items without a known title"
    summary = f"Often chooses {_join(often[:MANY])}; recently {chosen}." if often else f"Recently chose {chosen}."
    likes = tuple(dict.fromkeys(often)) or tuple(title[:40].strip().lower() for title in titles[:MANY])
    return UserProfile.model_construct(summary=summary, likes=likes or ("not yet known",))


def _join(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
