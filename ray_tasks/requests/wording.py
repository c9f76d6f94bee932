"""Sentences that say what of a request an item meets."""

from collections.abc import Sequence

from ray_tasks.explaining.wording import quoted
from ray_tasks.requests.constraints import Constraints
from ray_tasks.requests.ranked import ERA

MISSED = "It misses: {missed}."
PERSONAL = {
    "empty": "The request has no words, so this comes from your recommendations.",
    "hostile": "The request is no wish for an item, so this comes from your recommendations.",
    "language": "The request is not in English, so this comes from your recommendations.",
    "unclear": "The request was not understood, so this comes from your recommendations.",
    "off_topic": "The request is about nothing in the catalogue, so this comes from your recommendations.",
}
"""Said beside what the personal list holds, by the reason why a request is outside."""


def explain(asked: Constraints, met: Sequence[str], missed: Sequence[str], like: Sequence[str]) -> str:
    """What an item meets and misses of a request, and what it is near to. `like` are titles that the request names."""
    parts = []
    if met:
        parts.append(f"You asked for {_joined([_named(one, asked) for one in met])}: it is that.")
    if asked.exclude:
        parts.append(f"It is without {_joined(asked.exclude, 'or')}.")
    if like:
        parts.append(f"Its description is near to {_joined([quoted(title) for title in like])}.")
    if not parts:
        parts.append("Its description is near to your words.")
    if missed:
        parts.append(MISSED.format(missed=_joined([_named(one, asked) for one in missed])))
    return " ".join(parts)


def _named(wish: str, asked: Constraints) -> str:
    return years(asked) if wish == ERA else wish


def years(asked: Constraints) -> str:
    """The bounds in words."""
    first, last = asked.first_year, asked.last_year
    if first == last:
        return f"the year {first}"
    if first is None:
        return f"years up to {last}"
    return f"years from {first}" if last is None else f"years {first} to {last}"


def _joined(words: Sequence[str], link: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {link} {words[-1]}"
