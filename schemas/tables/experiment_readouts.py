"""Table `experiment_readouts`."""

import pyarrow as pa

from schemas.table import Column, Table, between, one_of

EXPERIMENT_READOUTS = Table(
    name="experiment_readouts",
    description="What each arm of each experiment did to each metric, and what can be concluded tonight",
    columns=(
        Column("experiment", pa.string(), "As planned in `experiments`"),
        Column("arm", pa.string(), "One of its arms; the first is the control"),
        Column("metric", pa.string(), "ctr, conversion_rate, dwell, helpfulness or hide_rate"),
        Column("role", pa.string(), "primary and guardrail decide, secondary is shown"),
        Column("days", pa.int64(), "Days of the experiment that are counted"),
        Column("users", pa.int64(), "Users of the arm who have seen anything"),
        Column("value", pa.float64(), "The arm's own value, as counted", nullable=True),
        Column("lift", pa.float64(), "Relative to the control, adjusted for the users' past", nullable=True),
        Column("low", pa.float64(), "Lower end of the lift's interval, which holds for all nights", nullable=True),
        Column("high", pa.float64(), "Its upper end", nullable=True),
        Column("variance_ratio", pa.float64(), "How much of the variance the users' past has left", nullable=True),
        Column("p_value", pa.float64(), "Holds for all nights"),
        Column("p_adjusted", pa.float64(), "Holds for all metrics too (Holm)"),
        Column("detectable", pa.float64(), "Smallest lift that the planned end will find", nullable=True),
        Column("decision", pa.string(), "better, worse or none; never taken back"),
        Column("decided", pa.date32(), "The day that the decision rests on", nullable=True),
        Column("verdict", pa.string(), "One sentence on the arm; empty for the control"),
    ),
    key=("experiment", "arm", "metric"),
    may_be_empty=True,
    expectations=(
        one_of("role", "primary", "guardrail", "secondary"),
        one_of("decision", "better", "worse", "none"),
        between("p_value", 0, 1),
        between("p_adjusted", 0, 1),
        between("users", 0),
    ),
)
