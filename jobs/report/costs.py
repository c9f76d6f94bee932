"""What profiles cost and what reuse saved, from the rows of `generation_costs`: tonight, and over nights. All pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jobs.report import charts
from jobs.report.history import Summary, dig
from jobs.report.words import compact

SPENT = {"spent": "ranker", "saved by reuse": "third"}
KINDS = {"item": "ranker", "user": "second"}
"""Colour classes of the lines over nights."""


def cost_figures(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows of `generation_costs` by kind, each with `accept_rate`, and the night's sums; empty for no rows.

    `spent` and `saved` are tokens, `money` and `saved_money` in the account's currency. They are those of the night,
    however often it ran: a rerun that paid nothing tells the same.
    """
    kinds = {
        row["kind"]: {
            **{name: value for name, value in row.items() if name != "kind"},
            "accept_rate": row["accepted"] / row["asked"] if row["asked"] else None,
        }
        for row in rows
    }
    if not kinds:
        return {}
    sums = {"saved": "saved_tokens", "money": "money", "saved_money": "saved_money"}
    return {
        "kinds": kinds,
        "spent": sum(row["prompt_tokens"] + row["output_tokens"] for row in kinds.values()),
        **{name: sum(row[column] for row in kinds.values()) for name, column in sums.items()},
    }


def is_priced(costs: Mapping[str, Any]) -> bool:
    """Whether prices are set, so that money is worth showing."""
    return bool(costs.get("money") or costs.get("saved_money"))


def cost_trends(summary: Summary, earlier: Sequence[Summary]) -> list[dict[str, Any]]:
    """Charts over the nights that know their costs: tokens spent and saved, and tokens per thousand profiles.

    Each has `title`, `svg` and `legend` (name, colour class, tonight's value); none on the first such night.
    """
    nights = [night for night in [*earlier, summary] if night.get("costs")]
    if len(nights) < 2 or not summary["costs"]:
        return []
    spent = {
        name: [dig(night, "costs", key) for night in nights]
        for name, key in zip(SPENT, ("spent", "saved"), strict=True)
    }
    each = {
        kind: [dig(night, "costs", "kinds", kind, "tokens_per_thousand") for night in nights]
        for kind in summary["costs"]["kinds"]
    }
    dates = [night["run_date"] for night in nights]
    return [
        _chart("Tokens, night by night", dates, spent, SPENT),
        _chart("Tokens per thousand accepted profiles", dates, each, KINDS),
    ]


def _chart(
    title: str, dates: Sequence[str], series: Mapping[str, charts.Values], kinds: Mapping[str, str]
) -> dict[str, Any]:
    legend = [(name, kinds[name], compact(values[-1])) for name, values in series.items()]
    return {"title": title, "svg": charts.line_chart(dates, series, kinds, title), "legend": legend}
