"""What the metrics of an experiment are, and how sure one can be of them: ratios of sums over users.

Users are drawn, and one user has many impressions, so the variance of clicks over impressions is one between users.
With the delta method (Deng, Knoblich & Lu 2018, Applying the Delta Method in Metric Analytics) all of it follows from
sums and products of per-user counts, which add up over parts of the users. Values are compared on the log scale, where
a lift is a difference: the log of a sum S of users' counts s deviates by the sum of s / S.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
COUNTS = ("impressions", "clicks", "conversions", "dwell_seconds", "helpful", "unhelpful", "hides")
"""What is counted per user and day."""
CONTRAST = np.array([[1, -1, 0, 0], [0, 0, 1, -1]])
"""Log ratios of the four totals of `Sums`: during the experiment, and before it."""


@dataclass(frozen=True)
class Metric:
    """A ratio of two sums of counts."""

    label: str
    numerator: str
    denominator: tuple[str, ...]
    better: Literal["higher", "lower"] = "higher"


METRICS = {
    "ctr": Metric("CTR", "clicks", ("impressions",)),
    "conversion_rate": Metric("conversion rate", "conversions", ("impressions",)),
    "dwell": Metric("dwell time per click", "dwell_seconds", ("clicks",)),
    "helpfulness": Metric("helpfulness of explanations", "helpful", ("helpful", "unhelpful")),
    "hide_rate": Metric("hide rate", "hides", ("impressions",), "lower"),
}
"""By the names that `schemas.experiments` knows."""


@dataclass(frozen=True)
class Sums:
    """Sums over the users of an arm, for one metric, at the end of each day of the experiment; parts of them add up.

    `users` (days,): who has seen an impression by then. `totals` (4, days): numerator and denominator since the start,
    and numerator and denominator before the start of those users. `products` (4, days, 4, days): sums over users of the
    products of any two of these.
    """

    users: Floats
    totals: Floats
    products: Floats

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.users + other.users, self.totals + other.totals, self.products + other.products)


def sums(counts: Floats, before: Floats, exposed: NDArray[np.bool_]) -> Sums:
    """From (2, users, days) counts of each day, (2, users) counts before the start, and (users, days) exposed so far.

    Both counts are numerator and denominator. A user's past counts from the first impression on, which no arm has
    moved yet: it is as likely in one arm as in the other.
    """
    values = np.stack([*counts.cumsum(axis=2), *(before[:, :, None] * exposed)])
    shape = (len(values), exposed.shape[1])
    flat = values.transpose(1, 0, 2).reshape(len(exposed), shape[0] * shape[1])
    return Sums(exposed.sum(axis=0).astype(float), values.sum(axis=1), (flat.T @ flat).reshape(*shape, *shape))


def log_ratios(of: Sums) -> tuple[Floats, Floats]:
    """(2, days) logs of the metric during and before the experiment, and (2, days, 2, days) their covariance.

    Not finite where a total is 0. Users who have not come yet are zeros and change nothing.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log(of.totals[0::2]) - np.log(of.totals[1::2])
        relative = np.nan_to_num(of.products / np.multiply.outer(of.totals, of.totals), posinf=0)
    return values, np.einsum("ia,jb,akbl->ikjl", CONTRAST, CONTRAST, relative)
