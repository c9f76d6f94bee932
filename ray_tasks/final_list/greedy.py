"""One user's list, place by place: relevance against likeness to what stands already and against a lopsided mix.

Maximal marginal relevance (Carbonell & Goldstein 1998); calibration by the Kullback-Leibler divergence of the list's
mix of categories from the history's (Steck 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ray_tasks.interactions.rows import Floats, Ints

SMOOTHING = 0.01
"""Share of the history's mix in the list's, so that a category that the list lacks is dear but not infinitely so."""


@dataclass(frozen=True)
class Cap:
    """At most `most` items of a list may share a value; `has` (candidates, values) says who has which."""

    has: Floats
    most: int

    def open(self, chosen: Sequence[int]) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
        """Candidates that may still be added."""
        full = self.has[list(chosen)].sum(axis=0) >= self.most
        return np.asarray(~(self.has[:, full] > 0).any(axis=1))


@dataclass(frozen=True)
class Pool:
    """A user's candidates, best first.

    `scores` (n,) are the ranker's; `vectors` (n, dimensions) unit rows; `mixes` (n, categories) rows that sum to 1 or
    0, `taste` (categories,) the history's mix, all 0 if unknown.
    """

    scores: Floats
    vectors: Floats
    mixes: Floats
    taste: Floats
    caps: tuple[Cap, ...] = ()

    def relevance(self) -> Floats:
        """Scores from 0, the pool's worst, to 1, its best."""
        low, high = self.scores.min(), self.scores.max()
        return (self.scores - low) / (high - low) if high > low else np.zeros(len(self.scores))

    def divergence(self, chosen: Sequence[int]) -> Floats:
        """For each candidate the divergence of the taste from the mix of the chosen and that candidate."""
        held = self.mixes + self.mixes[list(chosen)].sum(axis=0)
        total = held.sum(axis=1, keepdims=True)
        held = np.divide(held, total, out=np.zeros_like(held), where=total > 0)
        mixed = (1 - SMOOTHING) * held + SMOOTHING * self.taste
        known = self.taste > 0
        return np.asarray((self.taste[known] * np.log(self.taste[known] / mixed[:, known])).sum(axis=1))


def choose(pool: Pool, k: int, diversity: float, calibration: float) -> Ints:
    """At most k places in the pool, in the order served; ties go to the better ranked.

    `diversity` 0 asks for relevance alone, 1 for unlikeness alone; `calibration` 0 ignores the mix, 1 sees nothing
    else. Where caps leave nothing, the list is shorter.
    """
    relevance, likeness = pool.relevance(), np.zeros(len(pool.scores), dtype=np.float64)
    left = np.ones(len(pool.scores), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < k:
        able = left.copy()
        for cap in pool.caps:
            able &= cap.open(chosen)
        if not able.any():
            break
        value: Floats = (1 - diversity) * relevance - diversity * likeness
        if calibration:
            value = (1 - calibration) * value - calibration * pool.divergence(chosen)
        best = int(np.argmax(np.where(able, np.round(value, 9), -np.inf)))
        chosen.append(best)
        left[best] = False
        nearness = pool.vectors @ pool.vectors[best]
        likeness = nearness if len(chosen) == 1 else np.maximum(likeness, nearness)
    return np.array(chosen, dtype=np.int64)
