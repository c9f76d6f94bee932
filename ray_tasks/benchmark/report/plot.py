"""Plots of a ranking benchmark for MLflow: NDCG@10 of all models, and Nightrec's lifts with their intervals."""

from typing import TYPE_CHECKING

from ray_tasks.benchmark.report import figures, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"ranker": "#3f45a8", "third": "#8f93cf", "plain": "#9a9da6"}
"""Nightrec, its parts and variants, and baselines: the classes of `figures.kind`."""
SIDES = {"better": "#23704a", "worse": "#a63d3d", "open": "#70747f"}


def gains_figure(result: figures.Result) -> "Figure":
    """NDCG@10 of every model on the headline's catalogue, best at the top."""
    catalogue = figures.catalogues(result)[0]
    scores, rivals = figures.gains(result, catalogue), figures.baselines(result, catalogue)
    figure, axis = _canvas(len(scores), f"NDCG@10, {_place(result, catalogue)}")
    names, values = list(scores), list(scores.values())
    axis.barh(range(len(names)), values, color=[COLOURS[figures.kind(name, rivals)] for name in names], height=0.7)
    for row, value in enumerate(values):
        axis.annotate(words.metric(value), (value, row), (4, 0), textcoords="offset points", fontsize=8, va="center")
    _dress(axis, [words.label(name) for name in names])
    axis.set_xlim(0, 1.12 * (max(values, default=0.0) or 1.0))
    return figure


def lifts_figure(result: figures.Result) -> "Figure":
    """Relative differences of Nightrec's NDCG@10 to baselines and to itself with a part left out, hardest first."""
    catalogue = figures.catalogues(result)[0]
    effects = [*figures.lifts(result, catalogue), *figures.ablations(result, catalogue)]
    figure, axis = _canvas(len(effects), f"Nightrec over each, {_place(result, catalogue)}, bootstrap 95% intervals")
    for row, one in enumerate(effects):
        if one.low is not None and one.high is not None:
            axis.plot([100 * one.low, 100 * one.high], [row, row], color=SIDES[one.side], linewidth=2)
        axis.plot([100 * one.value], [row], "o", color=SIDES[one.side], markersize=5)
    axis.axvline(0, color="#333333", linewidth=0.8)
    _dress(axis, [words.label(one.name) for one in effects])
    axis.set_xlabel("lift of NDCG@10, %", fontsize=8)
    return figure


def _canvas(rows: int, title: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    figure = Figure(figsize=(8, 1.2 + 0.28 * max(rows, 1)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure, figure.subplots()


def _dress(axis: "Axes", names: list[str]) -> None:
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _place(result: figures.Result, catalogue: figures.Catalogue) -> str:
    named = (str(result.get("data", "")), str(result.get("protocol", "")).upper(), catalogue.name)
    return ", ".join(part for part in named if part)
