"""The plot of a comparison: one panel per metric, both arms with their 95% intervals."""

from io import StringIO
from typing import TYPE_CHECKING

from ray_tasks.trials.arms import CHALLENGER, CHAMPION
from ray_tasks.trials.comparison import Comparison
from ray_tasks.trials.measures import by_place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (
    ("profile", "validity"),
    ("profile", "grounding"),
    ("profile", "accepted"),
    ("ranking", "ndcg_10"),
    ("profile", "labels_per_profile"),
    ("profile", "characters"),
    ("profile", "tokens_per_answer"),
)
COLOURS = {CHAMPION: "#70747f", CHALLENGER: "#3f45a8"}
TITLES = {"ndcg_10": "NDCG@10"}
SHARES = ("validity", "grounding", "accepted")


def comparison_figure(comparison: Comparison, title: str) -> "Figure":
    """A row of panels per kind of profile; the last panel shows seconds per profile, one measurement each."""
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    kinds = list(dict.fromkeys(kind for _, kind in comparison.seconds))
    figure = Figure(figsize=(2.1 * (len(PANELS) + 1), 0.8 + 2.7 * len(kinds)), layout="constrained")
    axes = figure.subplots(len(kinds), len(PANELS) + 1, squeeze=False)
    for row, kind in zip(axes, kinds, strict=True):
        for axis, (task, metric) in zip(row, PANELS, strict=False):
            _panel(axis, comparison, kind, task, metric)
        _seconds(row[-1], comparison, kind)
        row[0].set_ylabel(f"{kind} profiles", fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def comparison_svg(comparison: Comparison, title: str) -> str:
    """The same as SVG text, the same text for the same comparison."""
    import matplotlib

    stream = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "nightrec"}):
        comparison_figure(comparison, title).savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def _panel(axis: "Axes", comparison: Comparison, kind: str, task: str, metric: str) -> None:
    known = by_place(comparison.figures)
    highest = 0.0
    for place, arm in enumerate(COLOURS):
        if (found := known.get((arm, kind, task, metric))) is None:
            continue
        spread = [[max(0.0, found.value - found.low)], [max(0.0, found.high - found.value)]]
        axis.errorbar([place], [found.value], yerr=spread, fmt="o", color=COLOURS[arm], capsize=4, markersize=6)
        axis.annotate(
            _short(found.value), (place, found.value), (8, 0), textcoords="offset points", fontsize=8, va="center"
        )
        highest = max(highest, found.high, found.value)
    _dress(axis, TITLES.get(metric, metric.replace("_", " ")), 1.0 if metric in SHARES else highest)


def _seconds(axis: "Axes", comparison: Comparison, kind: str) -> None:
    values = [comparison.seconds[arm, kind] for arm in COLOURS]
    for place, (arm, value) in enumerate(zip(COLOURS, values, strict=True)):
        axis.plot([place], [value], "o", color=COLOURS[arm], markersize=6)
        _label(axis, place, value)
    _dress(axis, "seconds per profile", max(values))


def _label(axis: "Axes", place: int, value: float) -> None:
    axis.annotate(_short(value), (place, value), (8, 0), textcoords="offset points", fontsize=8, va="center")


def _dress(axis: "Axes", title: str, highest: float) -> None:
    axis.set_title(title, loc="left", fontsize=9)
    axis.set_xlim(-0.5, 1.9)
    axis.set_ylim(0, (highest or 1.0) * 1.1)
    axis.set_xticks([0, 1], list(COLOURS), fontsize=8)
    axis.tick_params(axis="y", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
