"""Comparisons that other DAGs publish (`tuning_trials`, `shadow_trials`), prepared for the page. All pure.

Both tables hold one figure of one arm per row; arms become columns, and the figures that matter most become bars.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from jobs.report.words import measure

Row = Mapping[str, Any]

ARMS = {
    "template": "plain",
    "prompting": "third",
    "champion": "third",
    "lora": "ranker",
    "challenger": "ranker",
    "candidate": "ranker",
}
"""Arms in the order in which the page shows them, with their colour classes; others follow by name."""

DIFFERENCE, TRAINING = "difference", "training"

HIGHER = ("micro_f1", "macro_f1", "auc", "validity", "grounding", "accepted", "ndcg_10")
LOWER = ("seconds_per_answer", "tokens_per_answer")
"""Metrics of which more, or less, is better; of all others neither is."""

PANELS = (
    ("labels", "item", "micro_f1"),
    ("next_item", "user", "auc"),
    *(("profile", kind, metric) for metric in ("grounding", "accepted") for kind in ("item", "user")),
    *(("ranking", kind, "ndcg_10") for kind in ("item", "user")),
    *(("profile", kind, metric) for metric in LOWER for kind in ("item", "user")),
)
"""Figures that are drawn, as (task, kind, metric), where the comparison has them."""


def trial_view(published: tuple[date, Iterable[Row]] | None) -> dict[str, Any] | None:
    """A comparison as the template shows it; None where none has been published or it is empty.

    `arms` say what was compared; `groups` are the table; `panels` the bars; `training` what a tuning took.
    """
    rows = list(published[1]) if published else []
    if not published or not rows:
        return None
    arms = _arms(rows)
    known = {(row["task"], row["kind"], row["metric"], row["arm"]): row for row in rows if row["task"] != TRAINING}
    places = sorted({place[:3] for place in known}, key=_order)
    return {
        "run_date": published[0].isoformat(),
        "arms": [_arm(name, rows) for name in arms],
        "differs": any(row["arm"] == DIFFERENCE for row in rows),
        "groups": _groups(places, arms, known),
        "panels": [_panel(place, arms, known) for place in PANELS if place in places],
        "training": {row["metric"]: row for row in rows if row["task"] == TRAINING},
    }


def _arms(rows: Sequence[Row]) -> list[str]:
    order = list(ARMS)
    names = {row["arm"] for row in rows} - {DIFFERENCE}
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def _arm(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """What an arm is: its model, the start of its revision, and the prompts of its profiles."""
    own = [row for row in rows if row["arm"] == name]
    prompts = {row["prompt_version"] for row in own if row["prompt_version"] and row["task"] == "profile"}
    model, revision = next(((row["model"], row["revision"]) for row in own if row["model"]), (None, None))
    return {"name": name, "kind": _colour(name), "model": model, "revision": revision, "prompts": sorted(prompts)}


def _order(place: tuple[str, str, str]) -> tuple[Any, ...]:
    """By what was asked, of whom, and then quality before cost before the rest."""
    task, kind, metric = place
    metrics = (*HIGHER, *LOWER)
    return task, kind, metrics.index(metric) if metric in metrics else len(metrics), metric


def _groups(places: Sequence[tuple[str, str, str]], arms: Sequence[str], known: Mapping[Any, Row]) -> list[Any]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for place in places:
        values = {arm: known[*place, arm]["value"] for arm in arms if (*place, arm) in known}
        cells = [_cell(known.get((*place, arm)), _is_best(place[2], arm, values)) for arm in arms]
        difference = known.get((*place, DIFFERENCE))
        n = max(known[*place, arm]["n"] for arm in (*arms, DIFFERENCE) if (*place, arm) in known)
        row = {"metric": place[2], "n": n, "cells": cells, "difference": _cell(difference, False)}
        groups.setdefault(place[:2], []).append(row)
    return [{"task": task, "kind": kind, "rows": rows} for (task, kind), rows in groups.items()]


def _cell(row: Row | None, best: bool) -> dict[str, Any]:
    if row is None:
        return {"value": "-", "interval": "", "best": False}
    return {"value": measure(row["value"]), "interval": _interval(row), "best": best}


def _interval(row: Row) -> str:
    known = row["low"] is not None and row["high"] is not None
    return f"{measure(row['low'])} to {measure(row['high'])}" if known else ""


def _is_best(metric: str, arm: str, values: Mapping[str, float]) -> bool:
    if len(values) < 2 or len(set(values.values())) < 2 or metric not in (*HIGHER, *LOWER):
        return False
    best = max if metric in HIGHER else min
    return arm in values and values[arm] == best(values.values())


def _panel(place: tuple[str, str, str], arms: Sequence[str], known: Mapping[Any, Row]) -> dict[str, Any]:
    """Bars of one figure; qualities on a scale from 0 to 1, costs on one to the largest."""
    found = [known[*place, arm] for arm in arms if (*place, arm) in known]
    top = 1.0 if place[2] in HIGHER else max(row["value"] for row in found) or 1.0
    bars = [
        {
            "arm": row["arm"],
            "kind": _colour(row["arm"]),
            "value": measure(row["value"]),
            "share": row["value"] / top,
            "ends": None if row["low"] is None or row["high"] is None else (row["low"] / top, row["high"] / top),
        }
        for row in found
    ]
    return {"task": place[0], "kind": place[1], "metric": place[2], "rows": bars}


def _colour(arm: str) -> str:
    return ARMS.get(arm, "second")
