"""Whether arms got the shares of users that they were meant to get. If not, no difference between them means anything.

The test is that of Lindon & Malek (2022, Anytime-Valid Inference For Multinomial Count Data): the odds of the counts
under shares near the planned ones against the planned ones themselves. They exceed 1 / level at any time with chance
`level` at most, so that the alarm, unlike a chi-square test, may be asked every night.
"""

import numpy as np
from scipy.stats import dirichlet_multinomial, multinomial

from jobs.experiments.metrics import Floats

ALARM = 0.001
"""An experiment is stopped below this p-value: hardly ever without a reason."""
CONCENTRATION = 2_500
"""How near: a share of one half is expected to be off by one percentage point."""


def p_value(users: Floats, shares: Floats) -> float:
    """Of users (arms, days), counted once they saw an impression, and shares (arms,): the smallest of all days."""
    seen = users[:, users.sum(axis=0) > 0].T.astype(int)
    if not len(seen):
        return 1.0
    totals = seen.sum(axis=1)
    odds = dirichlet_multinomial.logpmf(seen, CONCENTRATION * shares, totals) - multinomial.logpmf(seen, totals, shares)
    return float(np.exp(min(0.0, -odds.max())))
