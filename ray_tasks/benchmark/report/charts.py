"""Inline SVG of the page of a ranking benchmark, drawn by hand: no library, no script, no external resource.

Horizontal positions are percentages and letters keep their size, so a chart fits a phone and a laptop alike.
Colours come from the page's style sheet by class. All texts are escaped by `Markup.format`.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

ROW = 28
"""Height of one row of a chart, pixels."""
SIDE, LEFT, RIGHT, TOP, BASE = (360, 300), 52, 12, 28, 44
"""Canvas of a scatter chart, and its margins."""
PLACES = (80, 24)
"""Width and height of the bars of a list's places."""


@dataclass(frozen=True)
class Scale:
    """A linear axis from the first tick to the last; the ticks are round."""

    ticks: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float], steps: int = 5) -> "Scale":
        """The axis that holds zero and all values."""
        held = [0.0, *values]
        low, high = min(held), max(held)
        rough = ((high - low) or 1.0) / steps
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * n for n in (1, 2, 2.5, 5, 10) if size * n >= rough * 0.999)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        return cls(tuple(step * n for n in range(first, max(last, first + 1) + 1)))

    def share(self, value: float) -> float:
        """Where a value lies, 0 at the first tick and 1 at the last."""
        return (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])


def bar(share: float, kind: str) -> Markup:
    """One horizontal bar on a track; `share` in [0, 1] of the width."""
    width = 100 * min(max(share, 0.0), 1.0)
    drawn = Markup('<rect class="{}" width="{}%" height="10"/>').format(kind, _at(width))
    return _strip(Markup('<rect class="track" width="100%" height="10"/>') + drawn, 10)


def places(values: Sequence[float], most: float) -> Markup:
    """A few bars up and down from a line, one for each place of a list; `most` reaches the edge."""
    middle, width = PLACES[1] / 2, PLACES[0] / max(len(values), 1)
    drawn = Markup('<line class="rule" x1="0" x2="{}" y1="{y}" y2="{y}"/>').format(PLACES[0], y=_at(middle))
    shape = Markup('<rect class="third" x="{}" y="{}" width="{}" height="{}"/>')
    for place, value in enumerate(values):
        size = middle * min(abs(value) / (most or 1), 1)
        top = middle - size if value > 0 else middle
        drawn += shape.format(*map(_at, (place * width, top, width - 2, size)))
    frame = Markup('<svg class="places" width="{}" height="{}" aria-hidden="true" focusable="false">{}</svg>')
    return frame.format(*PLACES, drawn)


def interval(scale: Scale, value: float, low: float | None, high: float | None, kind: str) -> Markup:
    """One row of a forest plot: the axis' lines, the interval, and a dot; a hollow dot where no interval is known."""
    drawn = _lines(scale, ROW)
    middle = ROW // 2
    if low is not None and high is not None:
        ends = [_at(100 * scale.share(end)) for end in (low, high)]
        drawn += Markup('<line class="reach {}" x1="{}%" x2="{}%" y1="{y}" y2="{y}"/>').format(kind, *ends, y=middle)
    hollow = "" if low is not None and high is not None else " hollow"
    dot = Markup('<circle class="point {}{}" cx="{}%" cy="{}" r="5"/>')
    return _strip(drawn + dot.format(kind, hollow, _at(100 * scale.share(value)), middle), ROW)


def axis(scale: Scale, form: Callable[[float], str]) -> Markup:
    """The labels below the rows of a forest plot."""
    texts = (
        Markup('<text x="{}%" y="15" text-anchor="middle">{}</text>').format(_at(100 * scale.share(tick)), form(tick))
        for tick in scale.ticks
    )
    return _strip(Markup("").join(texts), 20)


@dataclass(frozen=True)
class Plane:
    """The two axes of a scatter chart on its canvas."""

    across: Scale
    up: Scale

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return LEFT + (SIDE[0] - LEFT - RIGHT) * self.across.share(value)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return SIDE[1] - BASE - (SIDE[1] - BASE - TOP) * self.up.share(value)


def scatter(
    points: Sequence[tuple[float, float, str]],
    titles: tuple[str, str],
    told: str,
    form: Callable[[float], str],
    diagonal: bool = False,
) -> Markup:
    """Points (x, y, name) on two axes, named as `titles`; `told` is the text for who cannot see it.

    Both axes are one where there is a `diagonal`; otherwise each spans its own values, and names stand at the points.
    """
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    plane = Plane(*(Scale.of(xs + ys),) * 2) if diagonal else Plane(_span(xs), _span(ys))
    drawn = _rules(plane, titles, form)
    if diagonal:
        first, last = plane.across.ticks[0], plane.across.ticks[-1]
        line = Markup('<line class="ideal" x1="{}" y1="{}" x2="{}" y2="{}"/>')
        drawn += line.format(*map(_at, (plane.x(first), plane.y(first), plane.x(last), plane.y(last))))
    dot = Markup('<circle class="point ranker" cx="{}" cy="{}" r="5"><title>{}</title></circle>')
    text = Markup('<text x="{}" y="{}" dy="{}" text-anchor="middle">{}</text>')
    for place, (across, up, name) in enumerate(points):
        x, y = _at(plane.x(across)), _at(plane.y(up))
        # Names above and below by turns: neighbours on a curve are close.
        drawn += dot.format(x, y, name)
        drawn += Markup("") if diagonal else text.format(x, y, 20 if place % 2 else -10, name)
    frame = Markup('<svg class="scatter" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return frame.format(*SIDE, told, drawn)


def _rules(plane: Plane, titles: tuple[str, str], form: Callable[[float], str]) -> Markup:
    """Lines, labels and names of both axes."""
    floor, end = SIDE[1] - BASE, SIDE[0] - RIGHT
    row = Markup(
        '<line class="rule" x1="{left}" x2="{end}" y1="{y}" y2="{y}"/>'
        '<text x="{text}" y="{y}" dy="4" text-anchor="end">{name}</text>'
    )
    column = Markup('<text x="{}" y="{}" dy="17" text-anchor="middle">{}</text>')
    drawn = [
        *(
            row.format(left=LEFT, end=end, text=LEFT - 7, y=_at(plane.y(tick)), name=form(tick))
            for tick in plane.up.ticks
        ),
        *(column.format(_at(plane.x(tick)), floor, form(tick)) for tick in plane.across.ticks),
        Markup('<text class="name" x="{}" y="{}" text-anchor="end">{}</text>').format(end, SIDE[1] - 4, titles[0]),
        Markup('<text class="name" x="0" y="12">{}</text>').format(titles[1]),
    ]
    return Markup("").join(drawn)


def _span(values: Sequence[float]) -> Scale:
    """An axis around values, without zero: differences are what a trade-off is about."""
    low = min(values, default=0.0)
    moved = Scale.of([value - low for value in values] or [1.0], 4)
    step = moved.ticks[1]
    start = math.floor(low / step + 1e-9) * step
    count = math.ceil((max(values, default=1.0) - start) / step - 1e-9)
    return Scale(tuple(start + step * n for n in range(max(count, 1) + 1)))


def _lines(scale: Scale, height: int) -> Markup:
    """The axis' ticks as lines; zero is stronger."""
    line = Markup('<line class="{}" x1="{x}%" x2="{x}%" y1="0" y2="{}"/>')
    return Markup("").join(
        line.format("zero" if abs(tick) < 1e-12 else "rule", height, x=_at(100 * scale.share(tick)))
        for tick in scale.ticks
    )


def _strip(content: Markup, height: int) -> Markup:
    """A row's drawing. Its figures stand beside it as text, so it is hidden from screen readers."""
    return Markup('<svg class="strip" width="100%" height="{}" aria-hidden="true" focusable="false">{}</svg>').format(
        height, content
    )


def _at(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
