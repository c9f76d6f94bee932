"""The rule by which a tuned generator becomes the champion. This is its only home.

It must be better at what tuning is for, and worse at nothing that a night lives on, on the same held-out rows:

1. label F1 (micro) is higher than prompting's beyond noise: the lower end of the paired bootstrap 95% interval of the
   difference is above 0;
2. validity and grounding, of each kind of profile and of labels, are at most TOLERANCE below prompting's;
3. next-item AUC is not lower than prompting's.

A figure that could not be measured (no held-out rows) is no proof: label F1 must be there, the others pass only where
neither arm has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ray_tasks.statistics import Estimate, Figure

TOLERANCE = 0.02


@dataclass(frozen=True)
class Verdict:
    """Whether the adapter is promoted, and a sentence for every reason why not."""

    promoted: bool
    reasons: tuple[str, ...]


def verdict(figures: Sequence[Figure], arm: str = "lora", against: str = "prompting") -> Verdict:
    """Judge an arm by its figures and those of the arm that it would replace."""
    known = {(one.arm, one.kind, one.task, one.metric): one.estimate for one in figures}
    labels = (known.get((name, "item", "labels", "micro_f1")) for name in (arm, against))
    reasons = [_labels(*labels)]
    for (name, *place), found in sorted(known.items(), key=lambda entry: entry[0]):
        if name != against or place[2] not in ("validity", "grounding", "auc"):
            continue
        own, allowed = known.get((arm, place[0], place[1], place[2])), 0.0 if place[2] == "auc" else TOLERANCE
        what = f"{place[2]} of {place[1]} ({place[0]})"
        if own is None:
            reasons.append(f"{what} was not measured")
        elif not own.value >= found.value - allowed - 1e-9:
            reasons.append(f"{what} is {own.value:.3f}, {against} has {found.value:.3f}")
    told = tuple(reason for reason in reasons if reason)
    return Verdict(not told, told)


def _labels(own: Estimate | None, other: Estimate | None) -> str | None:
    if own is None or other is None or own.n == 0:
        return "label F1 was not measured"
    low = float(np.nanpercentile(own.draws - other.draws, 2.5))
    if low > 0:
        return None
    return (
        f"label F1 {own.value:.3f} is not above prompting's {other.value:.3f} beyond noise (difference from {low:+.3f})"
    )
