"""Headline figures of a night, each against the newest earlier night that knows it."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.report import charts
from jobs.report.figures import METRICS, RANKER
from jobs.report.history import Summary, dig
from jobs.report.words import compact, figure, label, number, percent, seconds


@dataclass(frozen=True)
class Tile:
    """A headline figure: text, what it is, change since an earlier night, and its line over nights.

    `better` is 1 where more is better, -1 where less is, 0 where a change is neither.
    """

    label: str
    value: str
    note: str
    change: str = ""
    since: str = ""
    better: int = 0
    direction: int = 0
    spark: str = ""

    @property
    def mood(self) -> str:
        """Class of the change: good, bad or neutral."""
        verdict = self.better * self.direction
        return "good" if verdict > 0 else "bad" if verdict < 0 else "neutral"


def tiles(summary: Summary, earlier: Sequence[Summary]) -> list[Tile]:
    """The headline figures in the order in which the page shows them."""
    counts, nights = summary["counts"], [*earlier, summary]
    described, whole = counts.get("items_described_by_llm"), counts.get("items_described")
    share = f"{percent(described / whole)} of the catalogue" if whole and described is not None else ""
    source_rows = f"of {number(sum(summary['rows_in'].values()))} source rows"
    return [
        *(tile(label(m), _beside(summary, m), nights, ("metrics", RANKER, "all", m), 1) for m in METRICS),
        tile("Users served", "with a list tonight", nights, ("counts", "users_served"), 1),
        tile("Items described by the model", share, nights, ("counts", "items_described_by_llm"), 1),
        tile("Tokens spent", _of_budget(summary), nights, ("tokens", "spent"), 0),
        tile("Rows quarantined", source_rows, nights, ("quarantined_rows",), -1),
        tile("Wall time", f"{len(summary['tasks'])} tasks", nights, ("wall_seconds",), -1),
    ]


def tile(title: str, note: str, nights: Sequence[Summary], path: tuple[str, ...], better: int) -> Tile:
    """The figure at `path` in the last of `nights`, against those before it; `better` as in Tile."""
    values = [dig(night, *path) for night in nights]
    value = values[-1]
    shown = seconds(value) if path[-1] == "wall_seconds" else figure(value)
    before = [(night["run_date"], v) for night, v in zip(nights[:-1], values[:-1], strict=True) if v is not None]
    if value is None or not before:
        return Tile(title, shown, note)
    since, known = before[-1]
    change = value - known
    direction = (change > 0) - (change < 0)
    words = f"{change / known:+.1%}" if known else f"+{figure(change)}"
    return Tile(
        title, shown, note, words if change else "no change", since, better, direction, charts.sparkline(values)
    )


def _of_budget(summary: Summary) -> str:
    saved = summary["costs"].get("saved")
    return f"of {number(summary['tokens']['budget'])}" + (f"; {compact(saved)} saved by reuse" if saved else "")


def _beside(summary: Summary, metric: str) -> str:
    best = summary["best_single_source"]
    value = dig(summary["metrics"], best, "all", metric) if best else None
    return f"{label(best)} alone {value:.4f}" if value is not None and best else ""
