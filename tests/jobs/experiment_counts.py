"""Counts of made-up users, as the job would count them from feedback."""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from jobs.experiments.metrics import COUNTS
from schemas.experiments import Arm, Experiment

START = date(2026, 1, 1)


def experiment(**settings) -> Experiment:
    arms = (Arm(name="a"), Arm(name="b"))
    return Experiment(**{"name": "one", "arms": arms, "start": START, "nights": 14, **settings})


def counts(users: int = 1_500, effect: float = 0.0, seed: int = 0, days: int = 14, past: int = 14) -> pd.DataFrame:
    """Rows of users with an impression on a day; `effect` is the relative change of a click's chance in arm b."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(0, 2, users)
    seen = rng.poisson(rng.gamma(2, 3, users)[:, None], (users, past + days))
    seen[rng.random(users) < 0.2, : past + 2] = 0  # who first comes on the third day
    chance = rng.beta(4, 16, users)[:, None] * np.ones(past + days)
    chance[:, past:] *= 1 + effect * arm[:, None]
    clicks = rng.binomial(seen, np.minimum(chance, 1))
    helpful, unhelpful = rng.binomial(clicks, 0.2), rng.binomial(clicks, 0.1)
    values = [seen, clicks, rng.binomial(clicks, 0.2), 30.0 * clicks, helpful, unhelpful, rng.binomial(seen, 0.02)]
    user, day = np.nonzero(seen)
    table = pd.DataFrame({name: found[user, day] for name, found in zip(COUNTS, values, strict=True)})
    table["dwell_seconds"] *= rng.gamma(2, 0.5, len(table))
    days_of = np.array([START + timedelta(days=number - past) for number in range(past + days)])
    return table.assign(user_id=[f"u{u}" for u in user], arm=np.array(["a", "b"])[arm[user]], day=days_of[day])
