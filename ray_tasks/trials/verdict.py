"""The rule by which a challenger is better, equal or worse than the champion. This is its only home.

Judged are, per kind of profile, the paired differences challenger - champion of `measures.JUDGED`: validity,
grounding and acceptance of what it writes, and NDCG@10 of ranking by its texts.

- *worse*: any of them is lower beyond noise (its whole 95% interval lies below 0), or lower by more than TOLERANCE
  even where the sample is too small to prove it;
- *better*: not worse, and any of them is higher beyond noise (its whole interval lies above 0, over FEWEST or more);
- *equal*: else.

Tokens, length, labels and seconds are not judged: what a better profile may cost is for the user to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ray_tasks.statistics import Figure
from schemas.errors import NothingToDo

TOLERANCE = 0.05
"""The largest fall of a share that is put up with unproven: 3 of 60 profiles."""

FEWEST = 10
"""An interval over fewer entities proves no gain: one lucky profile would."""


@dataclass(frozen=True)
class Verdict:
    """`better`, `equal` or `worse`, and a sentence for each difference that decided."""

    outcome: str
    reasons: tuple[str, ...]

    @property
    def may_be_promoted(self) -> bool:
        """Whether the challenger may become the champion."""
        return self.outcome != "worse"


def verdict(differences: Sequence[Figure]) -> Verdict:
    """Judge by the paired differences. Raises NothingToDo where there is none: nothing measured proves nothing."""
    if not differences:
        raise NothingToDo("the comparison measured no judged difference: the sample holds nothing to judge by")
    lower = tuple(_told(one) for one in differences if _is_lower(one))
    higher = tuple(_told(one) for one in differences if one.estimate.low > 0 and one.estimate.n >= FEWEST)
    if lower:
        return Verdict("worse", lower)
    return Verdict("better", higher) if higher else Verdict("equal", ())


def _is_lower(one: Figure) -> bool:
    found = one.estimate
    return found.high < 0 or found.value < -TOLERANCE - 1e-9  # a fall of exactly TOLERANCE is put up with


def _told(one: Figure) -> str:
    found = one.estimate
    what = f"{one.metric} of {one.kind} profiles"
    return f"{what}: {found.value:+.3f} (95% {found.low:+.3f} to {found.high:+.3f}, n={found.n})"
