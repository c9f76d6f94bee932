"""The plot that MLflow keeps: every model's metrics side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs.report.figures import METRICS, RANKER
from jobs.report.summary_text import model_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def metric_figure(metrics: Mapping[str, Any], night: str) -> "Figure":
    """Horizontal bars over all users, one panel per metric; `metrics` is {model: {slice: {metric: value}}}."""
    # Without pyplot: no global state, no display.
    from matplotlib.figure import Figure

    models = model_order(list(metrics))[::-1]
    figure = Figure(figsize=(11, 0.45 * len(models) + 1.4), layout="constrained")
    axes = figure.subplots(1, len(METRICS), sharey=True)
    for axis, metric in zip(axes, METRICS, strict=True):
        values = [metrics[model].get("all", {}).get(metric, 0.0) for model in models]
        colours = ["#3f45a8" if model == RANKER else "#b3b6c2" for model in models]
        axis.bar_label(axis.barh(models, values, color=colours), fmt="%.4f", padding=3, fontsize=8)
        axis.set_title(metric, loc="left", fontsize=10)
        axis.set_xlim(0, (max(values) or 1) * 1.25)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        axis.tick_params(left=False, bottom=False, labelbottom=False)
    figure.suptitle(f"Night of {night}: time split, all users", x=0.01, ha="left", fontsize=11)
    return figure
