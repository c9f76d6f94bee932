"""The night's readouts of experiments, prepared for the page. All pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from jobs.experiments.metrics import METRICS

Row = Mapping[str, Any]
ROLES = ("primary", "guardrail", "secondary")
ESTIMATORS = {
    "click_rate_logged": "clicks counted",
    "click_rate_snips": "normalised inverse propensity",
    "click_rate_ips": "inverse propensity",
    "click_rate_dr": "doubly robust",
}
"""Off-policy metrics of `evaluations`, in the order of the page."""


def experiments_view(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Experiments by name: what is said of each arm, and its metrics, what decides first."""
    ordered = sorted(rows, key=lambda row: (row["experiment"], row["arm"]))
    return [_experiment(name, list(own)) for name, own in groupby(ordered, key=lambda row: str(row["experiment"]))]


def off_policy_view(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows of `evaluations` about lists in a drawn order: what each order earns per place."""
    told = {(row["model"], row["metric"]): row for row in rows if row["protocol"] == "off_policy"}
    return [
        {
            "order": "as they were drawn" if metric == "click_rate_logged" else f"as the {model} has them",
            "estimator": label,
            "value": f"{row['value']:.4f}",
            "interval": f"{row['low']:.4f} to {row['high']:.4f}",
            "users": row["n_users"],
        }
        for model in ("ranker", "challenger")
        for metric, label in ESTIMATORS.items()
        if (row := told.get((model, metric))) and (metric, model) != ("click_rate_logged", "challenger")
    ]


def _experiment(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    judged = [row for row in rows if row["verdict"]]
    ends = [abs(row[end]) for row in judged for end in ("low", "high") if row[end] is not None]
    reach = max(ends, default=0.01)
    return {
        "name": name,
        "days": max((row["days"] for row in rows), default=0),
        "users": {row["arm"]: row["users"] for row in rows if row["role"] == "primary"},
        "verdicts": {row["arm"]: row["verdict"] for row in judged},
        "rows": [_metric(row, reach) for row in sorted(judged, key=_order)],
    }


def _order(row: Row) -> tuple[str, int, str]:
    return row["arm"], ROLES.index(row["role"]), row["metric"]


def _metric(row: Row, reach: float) -> dict[str, Any]:
    known = row["lift"] is not None
    return {
        "arm": row["arm"],
        "metric": METRICS[row["metric"]].label,
        "role": row["role"],
        "value": "-" if row["value"] is None else f"{row['value']:.4g}",
        "lift": f"{row['lift']:+.1%}" if known else "-",
        "interval": f"{row['low']:+.1%} to {row['high']:+.1%}" if known else "",
        "ends": (row["lift"] / reach, row["low"] / reach, row["high"] / reach) if known else None,
        "decision": row["decision"],
    }
