"""Downstream ranking: do the texts that an arm wrote find what users chose next?

Items: a user is the mean of the vectors of sampled items liked before; the sampled items are ranked by cosine, and
the last liked one should come first. Users: the user's own profile, written without the target, ranks sampled
documents among which the target is. NDCG@10 with one relevant item is 1 / log2(1 + rank), 0 beyond rank 10.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ray_tasks.evidence.tastes import opinions
from ray_tasks.interactions.rows import Floats

K = 10


def gain(rank: int) -> float:
    """NDCG@10 of one relevant item at a rank from 1."""
    return float(1 / np.log2(1 + rank)) if rank <= K else 0.0


def rank_of(target: int, scores: Floats, open_places: Sequence[int]) -> int:
    """Rank from 1 of a place among `open_places`. Equal scores (to 6 digits) rank by place, lowest first."""
    rounded = np.round(scores, 6)
    ahead = [p for p in open_places if rounded[p] > rounded[target] or (rounded[p] == rounded[target] and p < target)]
    return 1 + len(ahead)


def liked_in(histories: Sequence[Mapping[str, Any]], places: Mapping[str, int], most: int) -> list[list[int]]:
    """Places of each user's liked items that are in `places`, most recent first; users with fewer than two left out."""
    liked = ([places[one] for one in opinions(row["items"]).liked if one in places] for row in histories)
    distinct = (list(dict.fromkeys(found)) for found in liked)
    return [found for found in distinct if len(found) >= 2][:most]


def item_gains(vectors: Floats, liked: Sequence[Sequence[int]]) -> Floats:
    """NDCG@10 per user of ranking the items not liked before by cosine to the mean of those liked before.

    `vectors` are unit rows, one per place; `liked` holds places, most recent first: the first is the target.
    """
    gains = []
    for target, *earlier in liked:
        scores = vectors @ vectors[earlier].mean(axis=0)
        seen = set(earlier)
        gains.append(gain(rank_of(target, scores, [p for p in range(len(vectors)) if p not in seen])))
    return np.asarray(gains, dtype=np.float64)


def user_gains(users: Floats, documents: Floats, targets: Sequence[int], seen: Sequence[frozenset[int]]) -> Floats:
    """NDCG@10 per user of ranking the documents that the user has not had by cosine to the user's profile.

    Row r of `users` belongs to target r, a row of `documents`, and to the documents of that user's history, `seen` r.
    """
    gains = []
    for vector, target, had in zip(users, targets, seen, strict=True):
        open_places = [place for place in range(len(documents)) if place not in had]
        gains.append(gain(rank_of(target, documents @ vector, open_places)))
    return np.asarray(gains, dtype=np.float64)
