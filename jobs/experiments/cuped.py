"""The lift of an arm over the control by day, freed of what the users' past explains.

CUPED (Deng, Xu, Kohavi & Walker 2013, Improving the Sensitivity of Online Controlled Experiments by Utilizing
Pre-Experiment Data), in the form for ratio metrics: the same metric before the start differs between the arms by chance
alone; theta times that difference is taken off, with the theta that leaves the least variance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.experiments.metrics import Floats, Sums, log_ratios

FEWEST_USERS = 100
LARGEST_ERROR = 0.2
"""Below so many users, or above this standard error of an arm's log ratio (some 25 clicks), nothing is near normal."""


@dataclass(frozen=True)
class Lift:
    """Logs of an arm's value over the control's, at the ends of the days that can be looked at.

    `days` (looks,): which these are, from 1. `logs` (looks,); `covariance` (looks, looks) of their errors: the same
    users come on many days, so it is estimated, not assumed. `variance_ratio`: with CUPED over without, on the last.
    """

    days: NDArray[np.int64]
    logs: Floats
    covariance: Floats
    variance_ratio: float


def lift(control: Sums, arm: Sums) -> Lift:
    """Compare an arm with the control. Days without enough data in both arms are left out."""
    (base, base_errors), (value, errors) = log_ratios(control), log_ratios(arm)
    difference, covariance = value - base, errors + base_errors
    logs, adjusted, _ = adjust(difference, covariance)
    largest = np.sqrt(np.maximum(_variances(errors), _variances(base_errors)))
    fewest = np.minimum(control.users, arm.users)
    told = np.flatnonzero(np.isfinite(difference[0]) & (fewest >= FEWEST_USERS) & (largest <= LARGEST_ERROR))
    ratio = float(adjusted[told[-1], told[-1]] / covariance[0, told[-1], 0, told[-1]]) if len(told) else 1.0
    return Lift(told + 1, logs[told], adjusted[np.ix_(told, told)], ratio)


def adjust(difference: Floats, covariance: Floats) -> tuple[Floats, Floats, Floats]:
    """Adjusted differences (days,), their covariance (days, days), and theta (days,).

    `difference` (2, days) is that of the log ratios during and before, `covariance` (2, days, 2, days) its own. Theta
    is 0 where nobody has a past, and small where few have one, as most of the variance is then not shared.
    """
    during, shared, before = covariance[0, :, 0], covariance[0, :, 1], covariance[1, :, 1]
    usable = np.isfinite(difference[1]) & (np.diag(before) > 0)
    theta = np.divide(np.diag(shared), np.diag(before), out=np.zeros(len(usable)), where=usable)
    logs = difference[0] - theta * np.where(usable, difference[1], 0)
    # Rows are days, columns are days: theta of the row for what the first factor loses, of the column for the second.
    left, right = theta[:, None], theta[None, :]
    return logs, during - right * shared - left * shared.T + left * right * before, theta


def _variances(covariance: Floats) -> Floats:
    return np.diag(covariance[0, :, 0])
