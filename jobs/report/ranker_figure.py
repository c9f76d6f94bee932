"""The plot that MLflow keeps of the ranker: what it goes by overall, and why a few first places are where they are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_FEATURES = 15
FOR, AGAINST = "#3f45a8", "#b8583f"


def ranker_figure(
    importance: Mapping[str, float], examples: Sequence[Mapping[str, Any]], version: str, night: str
) -> "Figure":
    """Bars of each feature's share of the gain, and one panel per example with the SHAP values of its first place.

    `examples` are the ranking task's: numbered, without users.
    """
    # Without pyplot: no global state, no display.
    from matplotlib.figure import Figure

    shown = dict(sorted(importance.items(), key=lambda entry: (-entry[1], entry[0]))[:MOST_FEATURES])
    figure = Figure(figsize=(13, max(4.0, 0.3 * len(shown), 1.3 * len(examples)) + 0.8), layout="constrained")
    left, *panels = _axes(figure, len(examples))
    _bars(left, shown, "share of the trees' gain")
    for axis, example in zip(panels, examples, strict=True):
        _bars(axis, example["reasons"], f"example {example['example']}: why {example['item_id']} is first (SHAP)")
    figure.suptitle(f"Ranker of the night of {night}: {version}", x=0.01, ha="left", fontsize=11)
    return figure


def _axes(figure: "Figure", count: int) -> list[Any]:
    """The left half, and `count` panels above each other in the right one."""
    grid = figure.add_gridspec(max(count, 1), 2)
    right = [figure.add_subplot(grid[row, 1]) for row in range(count)]
    return [figure.add_subplot(grid[:, 0]), *right]


def _bars(axis: Any, values: Mapping[str, float], title: str) -> None:
    names = [name.replace("_", " ") for name in values][::-1]
    sizes = list(values.values())[::-1]
    axis.bar_label(axis.barh(names, sizes, color=[FOR if s >= 0 else AGAINST for s in sizes]), fmt="%.3f", padding=3)
    axis.set_title(title, loc="left", fontsize=10, parse_math=False)  # an item id may hold a dollar sign
    axis.margins(x=0.2)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.tick_params(left=False, bottom=False, labelbottom=False, labelsize=8)
