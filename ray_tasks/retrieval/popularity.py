"""Candidate sources `popularity`, `trending` and `newcomers`: what everybody took lately, or took first."""

from dataclasses import dataclass

import numpy as np

from ray_tasks.interactions.rows import Floats, Rows, Scores, numbers_within
from ray_tasks.interactions.windows import DAY, Log

SAME_FOR_ALL = ("popularity", "trending", "newcomers")
"""Sources that say the same to every user. They tell the date."""


def counts(log: Log, days: float | None = None) -> Floats:
    """Events per item in the last `days` of the log, or in all of it."""
    recent = log.item if days is None else log.item[log.time >= log.end - days * DAY]
    return np.bincount(recent, minlength=len(log.item_ids)).astype(np.float64)


def fading_counts(log: Log, half_life: float) -> Floats:
    """Events per item, each of which counts half as much for every `half_life` days of its age."""
    weights = 0.5 ** ((log.end - log.time) / (half_life * DAY))
    return np.bincount(log.item, weights=weights, minlength=len(log.item_ids)).astype(np.float64)


def first_events(log: Log, first: int) -> Log:
    """Each user's first events only, ties in the order of the log."""
    order = np.lexsort((np.arange(len(log.time)), log.time, log.user))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = numbers_within(log.user[order])
    return log.where(place <= first)


@dataclass(frozen=True)
class RecentPopularity:
    """Count in the last days, plus a fraction below 1 that orders equal counts by the all-time count."""

    popularity: Scores

    @classmethod
    def fit(cls, log: Log, days: float | None, fading: bool = False) -> "RecentPopularity":
        """From the last `days` of the log, or all of it; `fading` makes the days a half-life instead of a window."""
        total = counts(log)
        recent = fading_counts(log, days) if fading and days else counts(log, days)
        return cls((recent + total / (total.max(initial=0) + 1)).astype(np.float32))

    def score(self, history: Rows) -> Scores:
        """The same for every user."""
        return np.repeat(self.popularity[None, :], len(history), axis=0)
