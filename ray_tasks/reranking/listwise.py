"""List-wise: which letter of a shuffled list comes next? One token read gives the whole order.

First-token reading as in FIRST (arXiv 2406.15657). Models of this size prefer some letters and places whatever
stands there (arXiv 2309.03882), so lists are shown in several seeded orders and the mean of each place is taken out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ray_tasks.interactions.rows import Floats, Ints
from ray_tasks.reranking.prompts import TopLists, list_question
from ray_tasks.reranking.questions import Scored

LETTERS = tuple(f" {letter}" for letter in "ABCDEFGHIJKLMNOPQRST")


@dataclass(frozen=True)
class Listwise:
    """Every list is shuffled `shuffles` times and cut into windows of at most `window` items, each one prompt.

    A candidate's score is the mean over shuffles of its letter's log-probability against the mean of its window,
    less what its place gains on average over all users asked about (left in with `unbiased` False). Windows are drawn
    anew with every shuffle, so that candidates of different windows compare.
    """

    lists: TopLists
    window: int = 10
    shuffles: int = 4
    told: int = 8
    seed: int = 0
    unbiased: bool = True

    def __post_init__(self) -> None:
        if not 2 <= self.window <= len(LETTERS):
            raise ValueError(f"a window holds 2 to {len(LETTERS)} items, not {self.window}")

    @property
    def answers(self) -> Sequence[str]:
        """See Questions."""
        return LETTERS[: self.window]

    def windows(self, user: int) -> list[Ints]:
        """Places in the user's list, in the order shown, for each prompt."""
        n = len(self.lists.candidates(user))
        drawn = np.random.default_rng((self.seed, user))
        parts = -(-n // self.window)
        return [part for _ in range(self.shuffles) for part in np.array_split(drawn.permutation(n), max(1, parts))]

    def prompts(self, user: int) -> list[str]:
        """See Questions: one per window."""
        candidates = self.lists.candidates(user)
        return [self._prompt(user, candidates[places]) for places in self.windows(user)]

    def _prompt(self, user: int, options: Ints) -> str:
        return list_question(self.lists.items, self.lists.told(user, options, self.told), options, self.answers)

    def scored(self, users: Ints, found: Sequence[Floats]) -> Scored:
        """See Questions."""
        shown = [self.windows(int(user)) for user in users]
        gains = _gains([logs for of_user in found for logs in of_user], [len(one) for own in shown for one in own])
        gains = gains.reshape(-1, self.window)
        counted = np.isfinite(gains).sum(axis=0)
        bias = np.divide(np.nansum(gains, axis=0), counted, out=np.zeros(self.window), where=counted > 0)
        unbiased = gains - bias if self.unbiased else gains
        sums = np.zeros((len(users), self.lists.ranked.shape[1]))
        ends = np.cumsum([0, *map(len, shown)])
        for row, (own, (start, end)) in enumerate(zip(shown, pairwise(ends), strict=True)):
            for places, values in zip(own, unbiased[start:end], strict=True):
                sums[row, places] += values[: len(places)]
        scores = np.where(self.lists.ranked[users] >= 0, sums / max(1, self.shuffles), np.nan)
        return Scored(scores, tuple(float(one) for one in bias))


def _gains(found: Sequence[Floats], sizes: Sequence[int]) -> Floats:
    """(prompts, letters): each letter's log-probability less the mean of its window; NaN for letters not shown."""
    if not found:
        return np.zeros(0)
    logs = np.where(np.arange(len(found[0]))[None, :] < np.array(sizes)[:, None], np.array(found), np.nan)
    return logs - np.nanmean(logs, axis=1, keepdims=True)
