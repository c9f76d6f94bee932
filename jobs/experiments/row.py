"""A row of the table `experiment_readouts`: what is known of one arm and one metric."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

Role = Literal["primary", "guardrail", "secondary"]


@dataclass(frozen=True)
class Row:
    """One arm and one metric.

    `value` is the arm's own, as counted. `lift` is relative to the control's and adjusted for the users' past
    (`variance_ratio`: how much of its variance that left); `low` and `high` hold for all nights and all metrics of the
    same role at once. All of these are None where there is too little data, and for the control. `p_value` holds for
    all nights, `p_adjusted` for all metrics too. `detectable` is what the planned end will find at this traffic.
    `decision` never goes back; `decided` is the day that it rests on.
    """

    experiment: str
    arm: str
    metric: str
    role: Role
    days: int
    users: int
    value: float | None
    lift: float | None = None
    low: float | None = None
    high: float | None = None
    variance_ratio: float | None = None
    p_value: float = 1.0
    p_adjusted: float = 1.0
    detectable: float | None = None
    decision: Literal["better", "worse", "none"] = "none"
    decided: date | None = None
    verdict: str = ""
