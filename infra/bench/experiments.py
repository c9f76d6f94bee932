"""Whether the readout of experiments keeps its promises, on simulated nights (`make bench-experiments`).

Users differ in activity (gamma) and in what they click (beta), come again on many nights, are first seen on different
ones, and have a past. The same users' counts go to `jobs.experiments.readout` as those of a night would:

- no difference between the arms: how often a 14-night experiment that is read every night ends in any false decision,
  beside a z-test at 5% that is read as often, which is what peeking does;
- clicks 5% more likely in one arm, on traffic for which the plan says that 5% can be found: how often it is found;
- one user in a hundred assigned to the wrong arm: how often the alarm is raised, and how often it is without;
- how much of the lift's variance CUPED leaves, where users' past resembles their present.
"""

import argparse
import gc
import json
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint
from task_runs import HOME

from jobs.experiments import ratio_mismatch
from jobs.experiments.cuped import adjust, lift
from jobs.experiments.evidence import Evidence
from jobs.experiments.metrics import METRICS, log_ratios, sums
from jobs.experiments.power import planned
from jobs.experiments.readout import judge
from jobs.experiments.row import Row
from measurement import written
from schemas.experiments import Arm, Experiment

Floats = NDArray[np.float64]
EXPERIMENT = Experiment(
    name="simulated",
    arms=(Arm(name="a"), Arm(name="b")),
    start=date(2026, 1, 1),
    nights=14,
    primary="ctr",
    guardrails=("dwell", "hide_rate"),
    minimum_effect=0.05,
)
BIAS = 0.01
TOLD_EVERY = 20
"""Experiments between two messages on how far it is."""


@dataclass(frozen=True)
class Crowd:
    """What users did: (users, days) by count, of which the first `nights` days are the past."""

    counts: dict[str, Floats]
    arm: NDArray[np.int64]
    nights: int

    def evidence(self) -> Evidence:
        """As `jobs.experiments.evidence` makes it from a table."""
        exposed = self.counts["impressions"][:, self.nights :].cumsum(axis=1) > 0
        found = {}
        for name, metric in METRICS.items():
            both = np.stack(
                [self.counts[metric.numerator], np.sum([self.counts[c] for c in metric.denominator], axis=0)]
            )
            during, before = both[..., self.nights :], both[..., : self.nights].sum(axis=2)
            members = {arm.name: self.arm == number for number, arm in enumerate(EXPERIMENT.arms)}
            found[name] = {arm: sums(during[:, m], before[:, m], exposed[m]) for arm, m in members.items()}
        return found


def simulate(users: int, effect: float, rng: np.random.Generator) -> Crowd:
    """A past and an experiment of equal length; `effect` is the relative change of arm 1's chance of a click."""
    nights = EXPERIMENT.nights
    arm = rng.integers(0, 2, users)
    chance = rng.beta(2, 18, users)[:, None] * rng.uniform(0.8, 1.2, 2 * nights)
    chance[:, nights:] *= 1 + effect * arm[:, None]
    # A fifth of the users come for the first time on some night of the experiment, the rest long before it.
    first = np.where(rng.random(users) < 0.2, rng.integers(nights, 2 * nights, users), 0)
    present = np.arange(2 * nights) >= first[:, None]
    seen = rng.poisson(rng.gamma(1, 3, users)[:, None] * present)
    clicks = rng.binomial(seen, np.minimum(chance, 1))
    votes = rng.binomial(clicks, 0.1)
    helpful = rng.binomial(votes, 0.7)
    counts = {
        "impressions": seen,
        "clicks": clicks,
        "conversions": rng.binomial(clicks, 0.1),
        # Users read at their own pace: lognormal between them, gamma from click to click.
        "dwell_seconds": rng.standard_gamma(clicks) * rng.lognormal(3, 0.5, users)[:, None],
        "helpful": helpful,
        "unhelpful": votes - helpful,
        "hides": rng.binomial(seen, 0.01),
    }
    return Crowd({name: values.astype(float) for name, values in counts.items()}, arm, nights)


def repeat(users: int, effect: float, times: int, rng: np.random.Generator) -> list[tuple[list[Row], Evidence]]:
    """Readouts of the last night: a decision of any night is still in them, and its bounds are those of that night."""
    told = []
    for number in range(times):
        found = simulate(users, effect, rng).evidence()
        told.append((judge(EXPERIMENT, found), found))
        if (number + 1) % TOLD_EVERY == 0:
            print(f"effect {effect:.0%}: {number + 1} of {times} experiments", flush=True)
    return told


def interval(hits: list[bool]) -> list[float]:
    """95% interval of a share (Clopper & Pearson 1934)."""
    return [round(float(end), 4) for end in proportion_confint(sum(hits), len(hits), method="beta")]


def falsely_decided(rows: list[Row]) -> bool:
    """Whether the verdict is that an arm is better or worse, a guardrail broken, or the experiment to be stopped."""
    return not rows[-1].verdict.startswith(("no decision", "no difference"))


def naively_decided(found: Evidence) -> bool:
    """By a two-sided z-test of the click rate at 5% on each night, none corrected for the others."""
    seen = lift(found["ctr"]["a"], found["ctr"]["b"])
    return bool((np.abs(seen.logs) > norm.isf(0.025) * np.sqrt(np.diag(seen.covariance))).any())


def with_and_without_past(found: Evidence) -> tuple[float, float]:
    """Last log lifts of the click rate."""
    (base, base_errors), (value, errors) = (log_ratios(found["ctr"][arm]) for arm in ("a", "b"))
    difference = value - base
    return float(adjust(difference, errors + base_errors)[0][-1]), float(difference[0, -1])


def mismatches(users: int, bias: float, times: int, rng: np.random.Generator) -> list[bool]:
    """Alarms within the planned nights, as users are first seen in equal numbers every night."""
    shares = np.array([0.5, 0.5])
    nights = EXPERIMENT.nights
    seen = rng.multinomial(users // nights, [0.5 - bias, 0.5 + bias], (times, nights)).cumsum(axis=1)
    return [ratio_mismatch.p_value(one.T.astype(float), shares) < ratio_mismatch.ALARM for one in seen]


def main() -> None:
    """Run all and write build/bench/experiments.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--users", type=int, default=12_000, help="of both arms (default 12,000)")
    parser.add_argument("--counted", type=int, default=200_000, help="users of the mismatch alarm (default 200,000)")
    parser.add_argument("--seed", type=int, default=20_241)
    arguments = parser.parse_args()
    gc.freeze()  # statsmodels collects garbage whenever it corrects p-values, which takes longer than all the rest
    rng = np.random.default_rng(arguments.seed)
    times, users = arguments.repetitions, arguments.users
    past = simulate(users, 0, rng).evidence()["ctr"]
    expected = planned(EXPERIMENT, past["a"] + past["b"])
    null = repeat(users, 0, times, rng)
    told = np.array([with_and_without_past(found) for _, found in null])
    planted = repeat(users, EXPERIMENT.minimum_effect, times, rng)
    primary = [next(row for row in rows if row.arm == "b" and row.role == "primary") for rows, _ in planted]
    told_nights = [(row.decided - EXPERIMENT.start).days + 1 for row in primary if row.decided]
    shares = {
        "false_positive_rate": [falsely_decided(rows) for rows, _ in null],
        "false_positive_rate_of_a_nightly_z_test": [naively_decided(found) for _, found in null],
        "power": [row.decision == "better" for row in primary],
        "interval_covers": [row.low <= EXPERIMENT.minimum_effect <= row.high for row in primary],
        "srm_detected": mismatches(arguments.counted, BIAS, times, rng),
        "srm_false_alarms": mismatches(arguments.counted, 0, times, rng),
    }
    figures = {
        **{name: round(float(np.mean(hits)), 4) for name, hits in shares.items()},
        "cuped_variance_ratio": round(float(np.var(told[:, 0]) / np.var(told[:, 1])), 4),
        "cuped_variance_ratio_estimated": round(float(np.mean([row.variance_ratio for row in primary])), 4),
        "power_planned": round(expected.power, 4),
        "detectable_effect_planned": round(expected.detectable, 4),
        "nights_to_decide": float(np.median(told_nights)) if told_nights else None,
        "intervals_95": {name: interval(hits) for name, hits in shares.items()},
    }
    print(json.dumps(figures, indent=2))
    settings = {**vars(arguments), "experiment": EXPERIMENT.model_dump(mode="json")}
    written(HOME, "experiments", {**figures, **settings})


if __name__ == "__main__":
    main()
