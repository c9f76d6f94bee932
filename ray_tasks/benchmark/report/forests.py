"""Forest plots of the page: effects as rows on one axis."""

from collections.abc import Callable, Sequence
from typing import Any

from ray_tasks.benchmark.report import charts, words
from ray_tasks.benchmark.report.figures import Effect

KINDS = {"better": "good", "worse": "bad", "open": "open"}
"""Classes of colour by the side that an effect takes."""


def forest(effects: Sequence[Effect], label: Callable[[str], str] = words.label) -> dict[str, Any] | None:
    """Rows of a forest plot of relative effects on one axis; None where there is nothing to draw."""
    if not effects:
        return None
    scale = charts.Scale.of(v for e in effects for v in (e.value, e.low, e.high) if v is not None)
    rows = [(label(e.name), e, charts.interval(scale, e.value, e.low, e.high, KINDS[e.side])) for e in effects]
    axis = charts.axis(scale, lambda value: words.signed(value, ",.0%"))
    return {"rows": rows, "axis": axis, "complete": all(e.known for e in effects)}
