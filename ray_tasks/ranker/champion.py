"""Which ranker serves: the champion of an earlier night, or tonight's challenger. Pure. Why: docs/adr/0020.

Both are measured on tonight's validation lists, by NDCG@10 per user, each user by trees that have not seen them. Noise
is one standard error of the paired difference, as in the gate.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ray_tasks.interactions.metrics import beats
from ray_tasks.interactions.rows import Floats


@dataclass(frozen=True)
class Version:
    """A registered ranker: what it was learnt from, its content, which nights it fits, and whether it was promoted.

    `as_of`: its data end there. `fits`: digest of the features and sources that it takes. `promoted`: the `as_of` of
    the night that made it the champion, None for one that has stayed a challenger; `reason`: why it was made so.
    """

    number: int
    as_of: datetime
    digest: str
    fits: str
    promoted: datetime | None = None
    reason: str = ""


@dataclass(frozen=True)
class Measured:
    """NDCG@10 per user of tonight's lists, the users in the same order."""

    challenger: Floats
    champion: Floats
    source: Floats


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger replaces the champion, and why."""

    replaces: bool
    reason: str


def champion_of(versions: Iterable[Version], as_of: datetime, fits: str) -> Version | None:
    """The version that was promoted last, no later than a night's own `as_of`, of those that fit the night.

    A night that is filled in later sees nothing that a later night learnt or decided; a night that is run again sees
    what it has promoted itself.
    """
    known = [v for v in versions if v.promoted is not None and v.promoted <= as_of and v.fits == fits]
    return max(known, key=lambda v: (v.promoted or v.as_of, v.number), default=None)


def judge(measured: Measured, age_days: int, champion_days: int) -> Verdict:
    """A young champion stays unless it is beaten; an old one goes unless it beats the challenger.

    A champion that the best single source beats goes in any case: the gate would not have let it serve.
    """
    difference = measured.challenger.mean() - measured.champion.mean()
    figures = f"the challenger's NDCG@10 is {difference:+.4f} against it"
    if beats(measured.source, measured.champion):
        return Verdict(True, "the best single source beats the champion by more than noise")
    if beats(measured.challenger, measured.champion):
        return Verdict(True, f"{figures}, more than noise")
    if age_days <= champion_days:
        return Verdict(False, f"{figures}, not better by more than noise")
    old = f"the champion is {age_days} days old, more than {champion_days}"
    if beats(measured.champion, measured.challenger):
        return Verdict(False, f"{old}, but {figures}, worse by more than noise")
    return Verdict(True, f"{old}, and {figures}, not worse by more than noise")
