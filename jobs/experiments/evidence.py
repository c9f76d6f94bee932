"""From counts per user and day to the sums that a readout needs: the only step that sees single users."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jobs.experiments.metrics import COUNTS, METRICS, Sums, sums
from schemas.errors import ExperimentError
from schemas.experiments import Experiment

Evidence = Mapping[str, Mapping[str, Sums]]
"""By metric and arm."""


def evidence(experiment: Experiment, counts: pd.DataFrame, as_of: date) -> Evidence:
    """Sums of all metrics from rows of user_id, arm, day and `COUNTS`, a row for each user and day with any.

    The users may be all of an experiment's, or a part of them: sums of parts that share no user add up (`add`). Days
    before the start of the experiment are the users' past; days at or after `as_of`, or after the planned end, are not
    looked at. Raises ExperimentError.
    """
    _check(experiment, counts)
    days = min(max((as_of - experiment.start).days, 0), experiment.nights)
    day = (pd.to_datetime(counts["day"]) - pd.Timestamp(experiment.start)).dt.days.to_numpy()
    user, known = pd.factorize(counts["user_id"])
    table = _Table(user, day, len(known), days, counts)
    exposed = table.during("impressions").cumsum(axis=1) > 0
    arm_of = np.empty(len(known), dtype=object)
    arm_of[user] = counts["arm"].to_numpy()
    members = {arm.name: np.flatnonzero(arm_of == arm.name) for arm in experiment.arms}
    found = {}
    for name, metric in METRICS.items():
        parts = [(metric.numerator,), metric.denominator]
        during = np.stack([sum(table.during(one) for one in part) for part in parts])
        before = np.stack([sum(table.before(one) for one in part) for part in parts])
        found[name] = {arm: sums(during[:, rows], before[:, rows], exposed[rows]) for arm, rows in members.items()}
    return found


@dataclass(frozen=True)
class _Table:
    """Counts as matrices; `day` 0 is the first of the experiment."""

    user: NDArray[np.int64]
    day: NDArray[np.int64]
    users: int
    days: int
    counts: pd.DataFrame

    def during(self, column: str) -> Any:
        """(users, days)."""
        rows = (self.day >= 0) & (self.day < self.days)
        place = self.user[rows] * self.days + self.day[rows]
        found = np.bincount(place, self.counts[column].to_numpy(float)[rows], self.users * self.days)
        return found.reshape(self.users, self.days)

    def before(self, column: str) -> Any:
        """(users,)."""
        rows = self.day < 0
        return np.bincount(self.user[rows], self.counts[column].to_numpy(float)[rows], self.users)


def _check(experiment: Experiment, counts: pd.DataFrame) -> None:
    missing = [column for column in ("user_id", "arm", "day", *COUNTS) if column not in counts]
    if missing:
        raise ExperimentError(f"experiment {experiment.name}: counts lack the columns {missing}")
    unknown = sorted(set(counts["arm"]) - {arm.name for arm in experiment.arms})
    if unknown:
        raise ExperimentError(f"experiment {experiment.name}: counts name arms that it does not have: {unknown}")
    crossed = int((counts.groupby("user_id")["arm"].nunique() > 1).sum())
    if crossed:
        raise ExperimentError(
            f"experiment {experiment.name}: {crossed} user(s) were shown two arms: was its salt, a weight or its slice "
            "changed while it ran? Start it anew, with another name."
        )


def add(one: Evidence, other: Evidence) -> Evidence:
    """Evidence of two parts of the users."""
    return {metric: {arm: part + other[metric][arm] for arm, part in arms.items()} for metric, arms in one.items()}
