"""The result of a comparison as rows of `benchmark_evaluations`; what the table has no place for is left out."""

from collections.abc import Iterator, Mapping
from typing import Any

from ray_tasks.benchmark.report.figures import (
    NIGHTREC,
    Catalogue,
    Effect,
    Result,
    ablations,
    catalogues,
    lifts,
    over_exploring,
)
from ray_tasks.benchmark.report.words import finite

Row = dict[str, Any]
CATALOGUES = {"": "all", "clean_": "clean"}
"""Names in the table by the prefix of a result's keys."""
EVERYBODY = "all"
LIFT = "lift_over:"


def evaluation_rows(result: Result, protocol: str) -> list[Row]:
    """Metrics of all models, on all slices and catalogues, and Nightrec's lifts, in key order.

    Figures that are not finite, and parts of a result that are not known here, are left out.
    """
    rows = [
        {"protocol": protocol, "catalogue": CATALOGUES[catalogue.prefix], **row}
        for catalogue in catalogues(result)
        for row in (*_metrics(result, catalogue), *_lifts(result, catalogue))
    ]
    return sorted(rows, key=lambda row: (row["model"], row["catalogue"], row["slice"], row["metric"]))


def _metrics(result: Result, catalogue: Catalogue) -> Iterator[Row]:
    everybody = _count(result.get(f"{catalogue.prefix}users"))
    for model, found in result.get("models", {}).items():
        parts = {EVERYBODY: {"users": everybody, **catalogue.of(found, "metrics")}}
        parts |= {name.replace(" ", "_"): part for name, part in catalogue.of(found, "slices").items()}
        for name, part in parts.items():
            users = _count(part.get("users"))
            yield from (_row(model, name, metric, value, users) for metric, value in _figures(part))


def _figures(part: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for metric, told in part.items():
        value = finite(told)
        if value is not None and metric != "users":
            yield metric, value


def _lifts(result: Result, catalogue: Catalogue) -> Iterator[Row]:
    """Nightrec over each baseline, over each variant of itself that lacks a part, and over the lists that explore."""
    users = _count(result.get(f"{catalogue.prefix}users"))
    over: dict[str, Effect] = {effect.name: effect for effect in lifts(result, catalogue)}
    for effect in ablations(result, catalogue):
        name = effect.name if effect.name.startswith(NIGHTREC) else f"{NIGHTREC}_{effect.name}"
        over.setdefault(name, effect)
    if explored := over_exploring(result, catalogue):
        over[explored.name] = explored
    for name, one in over.items():
        ends = {"low": one.low, "high": one.high, "p_value": one.p}
        yield {**_row(NIGHTREC, EVERYBODY, f"{LIFT}{name}", one.value, users), **ends}


def _row(model: str, part: str, metric: str, value: float, users: int) -> Row:
    figure = {"model": model, "slice": part, "metric": metric, "value": value, "n_users": users}
    return {**figure, "low": None, "high": None, "p_value": None}


def _count(value: Any) -> int:
    return int(finite(value) or 0)
