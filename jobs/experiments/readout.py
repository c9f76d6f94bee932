"""The readout of an experiment: what each arm did to each metric, and what can be concluded tonight."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from jobs.experiments import ratio_mismatch
from jobs.experiments.corrections import holm
from jobs.experiments.cuped import Lift, lift
from jobs.experiments.evidence import Evidence, evidence
from jobs.experiments.metrics import METRICS
from jobs.experiments.power import outlook
from jobs.experiments.row import Role, Row
from jobs.experiments.sequential import NightlyTest
from jobs.experiments.verdict import verdict
from schemas.experiments import Experiment

Pair = tuple[str, str]
"""Arm and metric."""


def readout(experiment: Experiment, counts: pd.DataFrame, as_of: date) -> list[Row]:
    """Rows of all arms and metrics from counts per user and day, as `evidence` takes them, of days before `as_of`."""
    return judge(experiment, evidence(experiment, counts, as_of))


def judge(experiment: Experiment, sums: Evidence) -> list[Row]:
    """The same, from sums over users."""
    control, *others = [arm.name for arm in experiment.arms]
    pairs = [(arm, metric) for arm in others for metric in METRICS]
    lifts = {(arm, metric): lift(sums[metric][control], sums[metric][arm]) for arm, metric in pairs}
    tests = {pair: NightlyTest(one.covariance, one.days, experiment.nights) for pair, one in lifts.items()}
    p_values = {pair: test.p_value(lifts[pair].logs) for pair, test in tests.items()}
    adjusted = _adjusted(experiment, p_values)
    rows = [
        _compared(experiment, row, lifts[pair], tests[pair], p_values[pair], adjusted[pair])
        if (pair := (row.arm, row.metric)) in lifts
        else row
        for row in _counted(experiment, sums)
    ]
    mismatch = mismatch_p_value(experiment, sums)
    told = {arm: verdict(experiment, [row for row in rows if row.arm == arm], mismatch) for arm in others}
    return [replace(row, verdict=told.get(row.arm, "")) for row in rows]


def mismatch_p_value(experiment: Experiment, sums: Evidence) -> float:
    """Of the numbers of users in the arms."""
    arms = sums[experiment.primary]
    shares = experiment.shares
    return ratio_mismatch.p_value(np.stack([arms[arm].users for arm in shares]), np.array(list(shares.values())))


def role(experiment: Experiment, metric: str) -> Role:
    """Primary metric and guardrails decide; the others are shown."""
    if metric == experiment.primary:
        return "primary"
    return "guardrail" if metric in experiment.guardrails else "secondary"


def _adjusted(experiment: Experiment, p_values: dict[Pair, float]) -> dict[Pair, float]:
    """What decides is corrected for all that decides, the rest for all of the rest."""
    deciding = {pair: p for pair, p in p_values.items() if role(experiment, pair[1]) != "secondary"}
    return holm(deciding) | holm({pair: p for pair, p in p_values.items() if pair not in deciding})


def _counted(experiment: Experiment, sums: Evidence) -> Sequence[Row]:
    rows = []
    for arm in experiment.arms:
        for metric in METRICS:
            found = sums[metric][arm.name]
            days = len(found.users)
            numerator, denominator = found.totals[:2, -1] if days else (0.0, 0.0)
            users = int(found.users[-1]) if days else 0
            value = float(numerator / denominator) if denominator > 0 else None
            rows.append(Row(experiment.name, arm.name, metric, role(experiment, metric), days, users, value))
    return rows


def _compared(experiment: Experiment, row: Row, found: Lift, test: NightlyTest, p_value: float, adjusted: float) -> Row:
    """The row of an arm with its lift over the control."""
    if not len(found.days):
        return row
    level = experiment.alpha / _comparisons(experiment, row.role)
    low, high = np.expm1(test.interval(found.logs, level))
    row = replace(
        row,
        lift=float(np.expm1(found.logs[-1])),
        low=float(low),
        high=float(high),
        variance_ratio=found.variance_ratio,
        p_value=p_value,
        p_adjusted=adjusted,
        detectable=outlook(found, experiment.nights, level, experiment.power),
    )
    if adjusted > experiment.alpha:
        return row
    # Holm may decide at a larger level than an equal part of alpha: at the p-value itself at the latest.
    crossing = test.crossing(found.logs, level) or test.crossing(found.logs, p_value)
    assert crossing
    good = (crossing.sign > 0) == (METRICS[row.metric].better == "higher")
    day = experiment.start + timedelta(days=int(found.days[crossing.look]) - 1)
    return replace(row, decision="better" if good else "worse", decided=day)


def _comparisons(experiment: Experiment, role: Role) -> int:
    secondary = (len(experiment.arms) - 1) * (len(METRICS) - 1 - len(experiment.guardrails))
    return secondary if role == "secondary" else experiment.tests
