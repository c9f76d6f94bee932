"""What a history says by counting: which themes a user likes, dislikes and avoids, how strongly, how surely.

The model chooses and phrases; these figures are computed, so that each of them can be recomputed by hand.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import binom

EVIDENCE_HALF = 10
"""So many liked and disliked items give a confidence of one half."""

AVOIDED_ALPHA = 0.01
"""A theme is avoided when so few of its items would be chosen by chance less often than this."""

MOST_AVOIDED = 5


@dataclass(frozen=True)
class Opinions:
    """A user's items by what the user thinks of them, each most recent first."""

    liked: tuple[str, ...]
    disliked: tuple[str, ...]
    hidden_themes: tuple[str, ...] = ()


def opinions(history: Sequence[Mapping[str, object]], feedback: Mapping[str, str] | None = None) -> Opinions:
    """Split a history (most recent first) by the user's own mean rating; items without a rating are liked.

    Disliked is what lies more than half a standard deviation below the mean of five or more ratings, and what
    `feedback` (item_id -> like or dislike) says so of: a stated preference outweighs an inferred one.
    """
    ratings = [float(str(entry["rating"])) for entry in history if entry["rating"] is not None]
    mean = sum(ratings) / len(ratings) if ratings else 0.0
    spread = (sum((rating - mean) ** 2 for rating in ratings) / len(ratings)) ** 0.5 if ratings else 0.0
    floor = mean - spread / 2 if len(ratings) >= 5 and spread > 0 else float("-inf")
    said = feedback or {}
    liked, disliked = [], []
    for entry in history:
        item_id, rating = str(entry["item_id"]), entry["rating"]
        verdict = said.get(item_id) or _inferred(None if rating is None else float(str(rating)), mean, floor)
        if verdict == "like":
            liked.append(item_id)
        elif verdict == "dislike":
            disliked.append(item_id)
    return Opinions(tuple(liked), tuple(disliked))


def _inferred(rating: float | None, mean: float, floor: float) -> str | None:
    if rating is None or rating >= mean:
        return "like"
    return "dislike" if rating < floor else None


def strengths(item_ids: Sequence[str], themes: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Share of the items that carry each theme, in (0, 1], the strongest first, ties by theme."""
    counts = Counter(theme for item_id in item_ids for theme in set(themes.get(item_id, ())))
    total = max(1, len(item_ids))
    return {theme: round(counts[theme] / total, 3) for theme in sorted(counts, key=lambda t: (-counts[t], t))}


def typical(themes: Mapping[str, Sequence[str]], weights: Mapping[str, float]) -> dict[str, float]:
    """Share of all interactions that fall on items of each theme: what a user without a taste would choose."""
    total = sum(weights.values()) or 1.0
    shares: Counter[str] = Counter()
    for item_id, weight in weights.items():
        for theme in set(themes.get(item_id, ())):
            shares[theme] += weight / total  # type: ignore[assignment]
    return dict(shares)


def distinctive(strong: Mapping[str, float], usual: Mapping[str, float], most: int) -> tuple[str, ...]:
    """Themes that tell this user from others: by how much their share exceeds the usual one, weighted by the share."""
    ranked = sorted(
        strong, key=lambda theme: (-strong[theme] * (strong[theme] + 0.05) / (usual.get(theme, 0) + 0.05), theme)
    )
    return tuple(ranked[:most])


def avoided(
    item_ids: Sequence[str],
    themes: Mapping[str, Sequence[str]],
    usual: Mapping[str, float],
    hidden: Iterable[str] = (),
) -> tuple[str, ...]:
    """Themes that the user hides, then those chosen significantly less often than usual (binomial test)."""
    counts = Counter(theme for item_id in item_ids for theme in set(themes.get(item_id, ())))
    n = len(item_ids)
    # All at once: scipy's distributions take longer to be called than to compute.
    of_each = binom.cdf([counts[theme] for theme in usual], n, [min(1.0, share) for share in usual.values()])
    chance = dict(zip(usual, of_each.tolist(), strict=True))
    rare = sorted((theme for theme in chance if chance[theme] < AVOIDED_ALPHA), key=lambda t: (chance[t], t))
    return tuple(dict.fromkeys([*hidden, *rare]))[:MOST_AVOIDED]


def confidence(n_items: int) -> float:
    """How sure a profile can be, in [0, 1): n / (n + EVIDENCE_HALF) for n liked and disliked items."""
    return round(n_items / (n_items + EVIDENCE_HALF), 3)


@dataclass(frozen=True)
class Taste:
    """All of that about one user. `likes` and `dislikes` are `strengths` of the items that the user likes or not."""

    opinions: Opinions
    likes: Mapping[str, float]
    dislikes: Mapping[str, float]
    avoided: tuple[str, ...]
    confidence: float

    @classmethod
    def of(
        cls,
        history: Sequence[Mapping[str, object]],
        themes: Mapping[str, Sequence[str]],
        usual: Mapping[str, float],
        feedback: Mapping[str, str] | None = None,
    ) -> "Taste":
        """From a history, most recent first, the themes of its items, and `typical`."""
        found = opinions(history, feedback)
        everything = [*found.liked, *found.disliked]
        return cls(
            found,
            strengths(found.liked, themes),
            strengths(found.disliked, themes),
            avoided(everything, themes, usual),
            confidence(len(everything)),
        )
