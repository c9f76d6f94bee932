"""One sentence that says what a readout means."""

from collections.abc import Sequence

from jobs.experiments.metrics import METRICS
from jobs.experiments.ratio_mismatch import ALARM
from jobs.experiments.row import Row
from schemas.experiments import Experiment


def verdict(experiment: Experiment, rows: Sequence[Row], mismatch: float) -> str:
    """Of an arm's rows, and the p-value of the ratio of users: what matters most, first."""
    primary = next(row for row in rows if row.role == "primary")
    broken = [row for row in rows if row.role == "guardrail" and row.decision == "worse"]
    if mismatch < ALARM:
        return f"stopped: sample ratio mismatch (p = {mismatch:.1g}): users are lost or assigned wrongly"
    if broken:
        named = ", ".join(_figure(row) for row in broken)
        return f"guardrail {named} {'is' if len(broken) == 1 else 'are'} worse in {primary.arm}{_beside(primary)}"
    if primary.decision != "none":
        return f"{primary.arm} is {primary.decision}: {_figure(primary)}"
    if primary.days >= experiment.nights:
        return f"no difference found in {experiment.nights} nights{_beside(primary)}"
    return _undecided(experiment, primary)


def _undecided(experiment: Experiment, primary: Row) -> str:
    left = experiment.nights - primary.days
    nights = f"no decision yet: {left} more night{'' if left == 1 else 's'}"
    if primary.lift is None:
        return f"{nights}, too little data so far"
    if primary.detectable is None or primary.detectable <= experiment.minimum_effect:
        return f"{nights} at this traffic"
    return f"{nights}, but this traffic finds {primary.detectable:.1%} at best, not {experiment.minimum_effect:.1%}"


def _beside(row: Row) -> str:
    return f"; {_figure(row)}" if row.lift is not None else ""


def _figure(row: Row) -> str:
    """`CTR +5.1% (2.0 to 8.3)`."""
    assert row.lift is not None
    assert row.low is not None
    assert row.high is not None
    return f"{METRICS[row.metric].label} {row.lift:+.1%} ({100 * row.low:.1f} to {100 * row.high:.1f})"
