"""What made-up interactions look like: the marginals of a log, and how its sizes grow with the number of events.

Sizes. Users are proportional to events. Items follow Heaps' law: items = items_per_million x (events / 10^6)^growth.
With the defaults, and beside public logs of that size:

| events | users   | items  | a public log              | its users | its items |
|--------|---------|--------|---------------------------|-----------|-----------|
| 10^5   | 604     | 1,655  | MovieLens 100K            | 943       | 1,682     |
| 10^6   | 6,039   | 3,706  | MovieLens 1M              | 6,040     | 3,706     |
| 10^7   | 60,386  | 8,297  | MovieLens 10M             | 69,878    | 10,677    |
| 10^8   | 603,865 | 18,574 | Netflix Prize             | 480,189   | 17,770    |

Marginals. Users' activity beyond the least has a Weibull distribution: MovieLens 1M's falls off faster than a
log-normal one. Items' pull is Zipf-Mandelbrot's with a factor that ends it: the tail of a catalogue falls off faster
than any power of the rank. It is a curve over the rank as a share of the catalogue and thus the same at each size; a
user takes an item once, so that the head saturates, in small logs more than in large ones.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma
from scipy.stats import binom

from schemas.errors import ConfigError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DAY = 86_400
"""A day in seconds."""


@dataclass(frozen=True)
class Events:
    """Interactions as parallel arrays: positions of users and items, ratings, and seconds."""

    user: Ints
    item: Ints
    rating: Floats
    time: Ints


@dataclass(frozen=True)
class Shape:
    """The marginals of a log. Raises ConfigError when they cannot be.

    The defaults are MovieLens 1M's (Harper and Konstan 2015; 1,000,209 ratings): what `synthetic_fit.fit` finds in it,
    rounded. Not from there: `growth` is the slope over the four logs above, because one log shows the growth of
    its own catalogue only, which was closed; `clusters` is the number of its genres; `favourites` is a choice.
    """

    events_per_user: float = 165.6
    """The mean."""
    least: int = 20
    """The fewest events of a user."""
    activity: float = 0.754
    """Exponent of the Weibull distribution of a user's events beyond the least; below 1 the tail is heavy."""

    items_per_million: float = 3_706
    growth: float = 0.35
    """Items of a catalogue of 10^6 events, and the exponent by which it grows with them."""
    exponent: float = 0.78
    shift: float = 0.0042
    ending: float = 1.7
    """An item's pull is (x + shift) ** -exponent * (1 - x) ** ending, with x its rank / items."""

    new_share: float = 0.0008
    """Share of the last tenth of the events that goes to items born in it, by their pull; among users who have most of
    the others already it is more, and of a catalogue of a few thousand items it depends on how popular the few are."""
    drift: float = 0.46
    """Standard deviation over items of the change of their log-popularity from the first event to the last."""

    days: float = 1_039
    """From the first event to the last."""
    joins: tuple[float, ...] = (0.0, 0.037, 0.069, 0.096, 0.11, 0.154, 0.195, 0.2, 0.202, 0.214, 0.903)
    """When users come: equally spaced quantiles, as shares of the log's days."""
    returning: float = 0.45
    """Share of the users who come back after a gap of six hours or more."""
    pause: float = 0.038
    """Probability that such a user's next event follows after a gap."""
    gap_days: float = 7.8
    gap_sigma: float = 1.7
    """Gaps are log-normal: their median, and the standard deviation of their logarithm."""
    step: float = 43.0
    """Mean seconds between two events of a sitting."""
    ties: float = 0.54
    """Share of a sitting's events in the same second as the one before."""

    clusters: int = 18
    """Groups of items, equally large, that tastes tell apart."""
    favourites: int = 3
    """Clusters that a user prefers, one of them perhaps twice."""
    taste: float = 0.68
    """Share of a user's events that are chosen within these."""

    ratings: tuple[float, ...] = (0.056, 0.108, 0.261, 0.349, 0.226)
    """Shares of the ratings 1, 2, ..."""
    rating_item: float = 0.24
    rating_user: float = 0.15
    """Shares of the ratings' variance that lie in the item and in the user."""

    def __post_init__(self) -> None:
        checks = {
            f"least: 1 to below events_per_user, found {self.least}": 1 <= self.least < self.events_per_user,
            f"growth: 0 to 1, found {self.growth}": 0 <= self.growth <= 1,
            f"new_share: 0 to 0.2, found {self.new_share}": 0 <= self.new_share <= 0.2,
            f"taste: 0 to 0.9, found {self.taste}": 0 <= self.taste <= 0.9,
            f"ties: 0 to below 1, found {self.ties}": 0 <= self.ties < 1,
            f"ratings: shares, found {self.ratings}": min(self.ratings) > 0 and 0.99 < sum(self.ratings) < 1.01,
            "rating_item, rating_user: at most 1 together": self.rating_item + self.rating_user <= 1,
            f"joins: growing from 0 to 1, found {self.joins}": _grows((0.0, *self.joins, 1.0)),
            "activity, items_per_million, exponent, shift, gap_days, step, clusters, favourites: above 0": min(
                self.activity, self.items_per_million, self.exponent, self.shift,
                self.gap_days, self.step, self.clusters, self.favourites,
            ) > 0,
            f"days: at least 2, found {self.days}": self.days >= 2,
        }  # fmt: skip
        if not all(checks.values()):
            raise ConfigError("shape", [problem for problem, holds in checks.items() if not holds])

    def users(self, events: int) -> int:
        """Users of a log of so many events."""
        return max(1, round(events / self.events_per_user))

    def items(self, events: int) -> int:
        """Items of the catalogue of a log of so many events."""
        return max(self.clusters, round(self.items_per_million * (events / 1e6) ** self.growth))


def _grows(values: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in pairwise(values))


def activity(shape: Shape, events: int, most: int) -> Ints:
    """Events per user, least active first, exactly `events` in all and at most `most` each.

    They are the quantiles of the distribution and no sample of it: the marginal is met at each size.
    Raises ConfigError where so many events do not fit.
    """
    users = shape.users(events)
    target, room = events - users * shape.least, most - shape.least
    if target < 0 or target > users * room:
        problem = f"{events:,} events do not fit {users:,} users of {shape.least} to {most:,} events each"
        raise ConfigError("shape", [f"{problem}; ask for more events, or raise items_per_million"])
    beyond = (-np.log1p(-(np.arange(users) + 0.5) / users)) ** (1 / shape.activity)
    beyond *= (shape.events_per_user - shape.least) / gamma(1 + 1 / shape.activity)
    for _ in range(50):  # what the bound takes from the most active goes to the others
        beyond = np.minimum(beyond * (target / max(beyond.sum(), 1e-9)), room)
    counts = np.floor(beyond).astype(np.int64)
    rest = target - int(counts.sum())
    counts[np.argsort(counts - beyond, kind="stable")[:rest]] += 1
    return counts + shape.least


def pull(shape: Shape, items: int) -> Floats:
    """Weights of the ranks of a catalogue, the most popular first; their sum is 1."""
    place = (np.arange(items) + 0.5) / items
    weights = (place + shape.shift) ** -shape.exponent * (1 - place) ** shape.ending
    return weights / weights.sum()


@dataclass(frozen=True)
class Crowd:
    """A log's users by activity and by how often a cluster is among their favourites (both arrays: groups x times).

    `size` is how many users these are; `reach` how far they get into the cluster's items.
    """

    size: Floats
    reach: Floats

    def takers(self, weights: Floats) -> Floats:
        """Expected events per item."""
        return self.size.ravel() @ -np.expm1(-np.outer(self.reach, weights))

    def elasticity(self, weights: Floats) -> Floats:
        """Percents by which an item's events grow with a percent of its weight: less than 1 where many have it."""
        drawn = np.outer(self.reach, weights)
        return self.size.ravel() @ (drawn * np.exp(-drawn)) / self.takers(weights)

    def likeness(self, weights: Floats, clusters: int) -> float:
        """How much more often than by chance two items of one user are of one cluster; 1: always."""
        taken = -np.expm1(-np.multiply.outer(self.reach, weights)).sum(2)
        often = self.size / self.size.sum(1, keepdims=True)
        shares = taken / (taken * often).sum(1, keepdims=True) / clusters
        same = clusters * (shares**2 * often).sum(1) @ self.size.sum(1) / self.size.sum()
        return float((same - 1 / clusters) / (1 - 1 / clusters))


def crowd(shape: Shape, weights: Floats, per_user: Ints, groups: int = 12) -> Crowd:
    """Users of so many events each who draw by these weights and their tastes, and no item twice.

    A user who draws until he has k items has item i with probability 1 - exp(-w_i t), where t solves
    sum_i (1 - exp(-w_i t)) = k (successive sampling; Rosén 1972). A cluster is m times among a user's favourites with
    a binomial probability, and its items' weights then count (1 - taste) + taste x m / favourites x clusters times.
    """
    parts = np.array_split(np.sort(per_user), min(groups, len(per_user)))
    wanted = np.array([part.mean() for part in parts])
    times = np.arange(shape.favourites + 1)
    often = binom.pmf(times, shape.favourites, 1 / shape.clusters)
    boost = 1 - shape.taste + shape.taste * times / shape.favourites * shape.clusters
    reach = wanted.copy()
    for _ in range(30):  # Newton's steps from the left of a concave function never overshoot
        missed = np.exp(-np.multiply.outer(np.outer(reach, boost), weights))
        step = (wanted - (1 - missed).sum(2) @ often) / (missed @ weights @ (often * boost))
        reach += step
        if (step < 1e-3 * reach).all():
            break
    return Crowd(np.outer([len(part) for part in parts], often), np.outer(reach, boost))


def gini(counts: NDArray[Any]) -> float:
    """Gini coefficient: 0 where all are equal, towards 1 where one has all."""
    ordered = np.sort(counts).astype(float)
    ranks = 2 * np.arange(1, len(ordered) + 1) - len(ordered) - 1
    return float(ranks @ ordered / (len(ordered) * ordered.sum()))
