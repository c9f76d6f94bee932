"""The smallest effect that an experiment can find: before it starts, from users' past, and while it runs."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm

from jobs.experiments.cuped import Lift, adjust
from jobs.experiments.evidence import evidence
from jobs.experiments.metrics import METRICS, Sums, log_ratios
from jobs.experiments.sequential import NightlyTest
from schemas.experiments import Arm, Experiment


@dataclass(frozen=True)
class Plan:
    """What an experiment would have found on past days.

    `days`: how many the past had, at most the planned ones. `users`: of all arms. `detectable`: smallest relative
    change of the primary metric that is found with the experiment's power. `power`: to find its minimum effect.
    """

    days: int
    users: int
    detectable: float
    power: float
    sentence: str


def plan(experiment: Experiment, counts: pd.DataFrame, start: date, holdout: float = 0) -> Plan:
    """As if the experiment had been run on past days from `start` on, which everybody spent without it.

    `counts` has rows of user_id, day and the counts of `evidence`; days before `start` are the users' past.
    """
    past = counts.assign(arm="everybody")
    days = int((pd.to_datetime(past["day"]).max() - pd.Timestamp(start)).days) + 1 if len(past) else 0
    arms = (Arm(name="everybody"), Arm(name="nobody"))
    shifted = experiment.model_copy(update={"start": start, "arms": arms, "nights": min(days, experiment.nights)})
    found = evidence(shifted, past, shifted.end)[experiment.primary]["everybody"]
    return planned(experiment, found, experiment.traffic * (1 - holdout))


def planned(experiment: Experiment, everybody: Sums, traffic: float = 1) -> Plan:
    """The same from the sums of all users, of whom the experiment gets a share `traffic`. The smallest arm decides."""
    _, errors = log_ratios(everybody)
    control, *others = (share * traffic for share in experiment.shares.values())
    # An arm of a share s of the users has s of every sum, so its relative covariance is 1 / s of everybody's.
    covariance = errors * (1 / control + 1 / min(others))
    days = np.flatnonzero((everybody.totals[:2] > 0).all(axis=0))
    name, users = METRICS[experiment.primary].label, int(everybody.users[-1] * traffic) if len(days) else 0
    if not len(days):
        return Plan(0, users, float("inf"), 0.0, f"nothing is known of {name} before the start")
    _, adjusted, _ = adjust(np.zeros(covariance.shape[:2]), covariance)
    looks = len(everybody.users)
    test = NightlyTest(adjusted[np.ix_(days, days)], days + 1, looks)
    level = experiment.alpha / experiment.tests
    detectable = float(np.expm1(_detectable(test, level, experiment.power)))
    power = test.power(float(np.log1p(experiment.minimum_effect)), level)
    sentence = (
        f"in {looks} nights, {users:,} users find a change of {name} by {detectable:.1%} with a power of "
        f"{experiment.power:.0%}, and one of {experiment.minimum_effect:.1%} with {power:.0%}"
    )
    return Plan(looks, users, detectable, power, sentence)


def _detectable(test: NightlyTest, level: float, power: float) -> float:
    """The difference that is found with a power."""
    return float(brentq(lambda difference: test.power(difference, level) - power, 0, 20 * test.errors.max(), rtol=1e-4))


def outlook(found: Lift, nights: int, level: float, power: float) -> float:
    """About the smallest relative change that will be found at the planned end, if traffic stays as it is.

    The variance after d days is taken as a + b / d: a is between users and stays while it is the same ones who come;
    where every day brings as many new ones, it is 0. Both are told by the last look and the one in the middle. Bounds
    are taken as those of a single look, which they nearly are at the end.
    """
    variances, days = np.diag(found.covariance), found.days
    middle, last = variances[len(days) // 2 - 1], variances[-1]
    shrinking = (middle - last) / (1 / days[len(days) // 2 - 1] - 1 / days[-1]) if len(days) > 1 else np.inf
    shrinking = np.clip(shrinking, 0, last * days[-1])
    error = np.sqrt(last - shrinking * (1 / days[-1] - 1 / nights))
    return float(np.expm1((norm.isf(level / 2) + norm.isf(1 - power)) * error))
