"""What a new ranker's lists would earn, told from feedback on the lists of the one in charge (off-policy evaluation).

A click is taken to depend on the item and its place, not on the rest of the list: the item-position model of Li et al.
2018 (Offline Evaluation of Ranking Policies with Click Models). A place of a list that was shown then weighs as much as
the new ranker is likelier to show its item there. That needs chance in what is shown: `exploration` says how much of it
there is, and `support` how much of the new lists it reaches.

All estimates are ratios of sums over users, since one user's clicks belong together; intervals are by the delta method.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

Floats = NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True)
class Shown:
    """Places of lists that were shown, (places,) each.

    `user` numbers the users; `reward` is what was earned, as 1 for a click; `propensity`, above 0, is the chance that
    the ranker in charge showed this item there, `target` the chance that the new one does. `predicted` is what a model
    of rewards says of this item at this place, `expected` what it says of what the new ranker shows there.
    """

    user: NDArray[np.int64]
    reward: Floats
    propensity: Floats
    target: Floats
    predicted: Floats
    expected: Floats

    @property
    def weights(self) -> Floats:
        """How much likelier the new ranker shows the item at its place."""
        return self.target / self.propensity


@dataclass(frozen=True)
class Estimate:
    """Reward per place with a 95% interval. `effective`: as many places, all alike, would tell as much."""

    value: float
    low: float
    high: float
    effective: float


def estimates(shown: Shown) -> Mapping[str, Estimate]:
    """By name: `logged` is what was earned, and `ips` weighs it (Horvitz and Thompson 1952).

    `snips` weighs by shares of the weights (Swaminathan and Joachims 2015), and `dr` weighs only what the model of
    rewards got wrong (Dudík et al. 2011).
    """
    ones, weights = np.ones(len(shown.user)), shown.weights
    return {
        "logged": _ratio(shown.user, shown.reward, ones, ones),
        "ips": _ratio(shown.user, weights * shown.reward, ones, weights),
        "snips": _ratio(shown.user, weights * shown.reward, weights, weights),
        "dr": _ratio(shown.user, shown.expected + weights * (shown.reward - shown.predicted), ones, weights),
    }


def _ratio(user: NDArray[np.int64], above: Floats, below: Floats, weights: Floats) -> Estimate:
    """Ratio of two sums, not finite where there is nothing to divide by; its error is one between users."""
    number = np.unique(user, return_inverse=True)[1]
    sums = [np.bincount(number, weights=part) for part in (above, below)]
    users = len(sums[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        value = sums[0].sum() / sums[1].sum()
        rest = sums[0] - value * sums[1]
        error = np.sqrt(users / max(users - 1, 1) * (rest**2).sum()) / sums[1].sum()
        effective = weights.sum() ** 2 / (weights**2).sum()
    half = float(t.ppf((1 + LEVEL) / 2, max(users - 1, 1)) * error)
    return Estimate(float(value), float(value - half), float(value + half), float(effective))


def shuffled_propensity(place: NDArray[np.int64], rank: NDArray[np.int64], share: float, pool: int) -> Floats:
    """Chance that the item of a rank stands at a place, where a share of the lists is the shuffled pool.

    Both count from 1. The other lists keep the ranker's order; a shuffled one draws each place's item from the `pool`
    best alike.
    """
    return (1 - share) * (place == rank) + share * (rank <= pool) / pool
