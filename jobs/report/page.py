"""The HTML page of a night: what the template shows, prepared; the template only lays it out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import ChainableUndefined, ChoiceLoader, Environment, PackageLoader

from jobs.report import charts
from jobs.report.checks import night_checks
from jobs.report.costs import cost_trends, is_priced
from jobs.report.figures import METRICS, RANKER
from jobs.report.history import Summary, dig
from jobs.report.summary_text import model_order
from jobs.report.task_times import task_times
from jobs.report.tiles import tiles
from jobs.report.words import compact, data_size, day, day_short, label, measure, money, number, percent, seconds

# Colour classes of the lines over nights, in the order of `model_order`.
LINES = ("ranker", "second", "third", "fourth", "fifth", "sixth")


def render_page(
    summary: Summary, config: Mapping[str, Any], samples: Mapping[str, Any], earlier: Sequence[Summary] = ()
) -> str:
    """The whole page as HTML. `samples` is what `read_samples` found; `config` is shown as it is."""
    # A figure that a task did not leave shows as nothing: the report of a broken night must not break as well.
    environment = Environment(
        # The style sheet is one for all pages.
        loader=ChoiceLoader([PackageLoader("jobs.report"), PackageLoader("schemas")]),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "label": label, "seconds": seconds, "percent": percent}
    environment.filters |= {"day": day, "day_short": day_short, "compact": compact, "measure": measure, "money": money}
    environment.filters["bytes"] = data_size
    environment.globals |= {
        name: getattr(charts, name) for name in ("bar", "interval", "stack", "log_share", "whisker")
    }
    return environment.get_template("report.html.j2").render(
        s=summary,
        config=json.dumps(config, indent=2),
        samples=samples,
        checks=night_checks(summary, earlier),
        task_times=task_times(summary, earlier),
        tiles=tiles(summary, earlier),
        panels=metric_panels(summary),
        slices=slice_table(summary),
        trend=trend_chart(summary, earlier),
        cost_trends=cost_trends(summary, earlier),
        priced=is_priced(summary["costs"]),
        verdict=verdict(summary),
        largest=max((step["rows"] for step in summary["funnel"]), default=1),
    )


def verdict(summary: Summary) -> str:
    """The night in one or two sentences."""
    counts, rows = summary["counts"], summary["tables"].get("recommendations", {}).get("rows")
    if summary["status"] == "failed":
        tasks = ", ".join(failure["task"] for failure in summary["failures"])
        return f"The night stopped at {tasks}. What ran before it is below."
    served = f"{number(rows)} recommendations for {number(counts.get('users_served'))} users." if rows else ""
    versus, best = summary["ranker_vs_best"], summary["best_single_source"]
    if versus and versus["ratio"]:
        change = versus["ratio"] - 1
        side = "level with" if abs(change) < 0.0005 else f"{abs(change):.1%} {'above' if change > 0 else 'below'}"
        served += f" Offline, the ranker stands {side} the best single source, {label(best)}."
    if summary["same_content"]:
        served += " A rerun: every table holds the same content as before."
    return served or "No recommendation was published."


def metric_panels(summary: Summary) -> list[dict[str, Any]]:
    """One bar chart per metric over all users: rows of model, value, share of the largest, class."""
    metrics = summary["metrics"]
    panels = []
    for metric in METRICS:
        values = {m: v for m in model_order(list(metrics)) if (v := dig(metrics, m, "all", metric)) is not None}
        top = max(values.values(), default=0) or 1
        rows = [
            {"model": m, "value": f"{v:.4f}", "share": v / top, "kind": "ranker" if m == RANKER else "plain"}
            for m, v in sorted(values.items(), key=lambda pair: -pair[1])
        ]
        panels.append({"metric": metric, "rows": rows})
    return [panel for panel in panels if panel["rows"]]


def slice_table(summary: Summary) -> dict[str, Any]:
    """NDCG@10 by model and slice, the best of each slice marked."""
    metrics = summary["metrics"]
    names = [
        s
        for s in ("all", "warm_users", "new_users", "warm_items", "new_items")
        if any(s in m for m in metrics.values())
    ]
    best = {s: max((dig(m, s, "ndcg@10") or 0.0 for m in metrics.values()), default=0.0) for s in names}
    rows = []
    for model in model_order(list(metrics)):
        values = [dig(metrics, model, s, "ndcg@10") for s in names]
        cells = [
            {"value": "-" if v is None else f"{v:.4f}", "best": bool(v) and v == best[s]}
            for v, s in zip(values, names, strict=True)
        ]
        rows.append({"model": model, "cells": cells})
    return {"slices": [(s, summary["metric_users"].get(s)) for s in names], "rows": rows}


def trend_chart(summary: Summary, earlier: Sequence[Summary]) -> dict[str, Any] | None:
    """NDCG@10 over nights by model, None on the first night."""
    nights = [*earlier, summary]
    models = [m for m in model_order(list(summary["metrics"])) if "ndcg@10" in summary["metrics"][m].get("all", {})]
    models = models[: len(LINES)]
    if len(nights) < 2 or not models:
        return None
    series = {label(m): [dig(night, "metrics", m, "all", "ndcg@10") for night in nights] for m in models}
    kinds = dict(zip(series, LINES, strict=False))
    drawn = charts.line_chart([night["run_date"] for night in nights], series, kinds, "NDCG@10 over nights by model")
    return {"svg": drawn, "legend": [(name, kinds[name], f"{series[name][-1]:.4f}") for name in series]}
