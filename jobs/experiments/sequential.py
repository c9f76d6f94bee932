"""A test that may be looked at every night: group-sequential, with alpha spending (Lan & DeMets 1983).

The number of looks is known (the planned nights) and data come in batches: there, group-sequential tests find a
difference with fewer users than confidence sequences and mixture SPRTs, which pay for looks without end and at any
moment. At the planned end this test is nearly as sharp as one without peeking. Alpha is spent by the calendar (Lan &
DeMets 1989), in the manner of O'Brien and Fleming: little at first, so that a novelty decides nothing.

Textbook bounds assume that what each night adds is independent of the nights before. Users who come again break that,
for these tests and for always-valid ones alike. So nothing is assumed here: the errors of all looks have an estimated
covariance, and the bounds are read off paths that are drawn from it. A covariance up to a night needs data up to
that night only: bounds of earlier nights never change.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, qmc

from jobs.experiments.metrics import Floats

DRAWS = 2**15
SEED = 20_241
SMALLEST_P, LARGEST_P = 1e-6, 0.5
"""P-values are told between these; a larger one is 1."""


@dataclass(frozen=True)
class Crossing:
    """The first look at which a bound was crossed: its place, and the sign of the difference there."""

    look: int
    sign: int


@dataclass(frozen=True)
class NightlyTest:
    """Looks at a difference of which the errors have a covariance (looks, looks), on `days` (looks,) of `planned`."""

    covariance: Floats
    days: NDArray[np.int64]
    planned: int

    @cached_property
    def errors(self) -> Floats:
        """(looks,) standard errors."""
        return np.sqrt(np.diag(self.covariance))

    @cached_property
    def paths(self) -> Floats:
        """(looks, DRAWS) differences over their standard errors, if there is no difference."""
        correlation = self.covariance / np.multiply.outer(self.errors, self.errors)
        # A day on which nobody came repeats the look before: the little on the diagonal keeps the root real.
        root = np.linalg.cholesky(correlation + 1e-9 * np.eye(len(self.days)))
        return root @ _normal_draws(self.planned)[self.days - 1]

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(-np.abs(self.paths), axis=1)

    def bounds(self, level: float) -> Floats:
        """(looks,): how many standard errors decide at each look, so that a path crosses any with chance `level`."""
        spent = _spent(self.days / self.planned, level)
        # Where a look's part is too small for the draws to tell: bounds that hold whatever the looks have in common.
        found = norm.isf(np.diff(spent, prepend=0) / 2)
        crossed = np.zeros(DRAWS, dtype=bool)
        for look, order in enumerate(self._order):
            before = int(crossed.sum())
            due = int(spent[look] * DRAWS) - before
            if due > 0:
                left = order[: before + due]
                left = left[~crossed[left]][:due]
                found[look] = abs(self.paths[look, left[-1]])
                crossed[left] = True
            else:
                crossed |= np.abs(self.paths[look]) >= found[look]
        return found

    def crossing(self, differences: Floats, level: float) -> Crossing | None:
        """Where differences (looks,) first crossed the bounds of a level."""
        scores = differences / self.errors
        over = np.flatnonzero(np.abs(scores) >= self.bounds(level))
        return Crossing(int(over[0]), int(np.sign(scores[over[0]]))) if len(over) else None

    def p_value(self, differences: Floats) -> float:
        """The smallest level at which differences (looks,) have crossed a bound on any night: once small, it stays so.

        Holm's correction of such p-values keeps its promise on all nights (Maurer & Bretz 2013).
        """
        low, high = np.log([SMALLEST_P, LARGEST_P])
        if not len(differences) or self.crossing(differences, LARGEST_P) is None:
            return 1.0
        for _ in range(16):
            middle = (low + high) / 2
            low, high = (low, middle) if self.crossing(differences, float(np.exp(middle))) else (middle, high)
        return float(np.exp(high))

    def interval(self, differences: Floats, level: float) -> tuple[float, float]:
        """Of the last look; with chance 1 - `level`, those of all nights hold (Jennison & Turnbull 1989)."""
        width = self.bounds(level)[-1] * self.errors[-1]
        return float(differences[-1] - width), float(differences[-1] + width)

    def power(self, difference: float, level: float) -> float:
        """Chance that a true difference crosses the bounds on its side, on any night."""
        return float((self.paths + (difference / self.errors)[:, None] >= self.bounds(level)[:, None]).any(0).mean())


def _spent(time: Floats, level: float) -> Floats:
    """How much of `level` is used up at each time in (0, 1]; half of it is for either side."""
    return 4 * norm.sf(norm.isf(level / 4) / np.sqrt(time))


@lru_cache(maxsize=4)
def _normal_draws(planned: int) -> Floats:
    """(planned, DRAWS) independent standard normals, evenly spread: the same in every readout."""
    return qmc.MultivariateNormalQMC(np.zeros(planned), rng=np.random.default_rng(SEED)).random(DRAWS).T
