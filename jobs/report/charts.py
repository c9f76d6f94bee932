"""Inline SVG, drawn by hand: no library, no script, no external resource.

Horizontal positions are percentages and letters keep their size, so a chart fits a phone and a laptop alike.
Colours come from the page's style sheet by class. All texts are escaped by `Markup.format`.
"""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from jobs.report.words import compact, figure

Values = Sequence[float | None]
# The canvas of a line chart in percent: its left margin holds the labels of the value axis.
LEFT, TOP, WIDTH, HEIGHT = 13.0, 4.0, 83.0, 84.0


def bar(share: float, kind: str = "plain", height: int = 10, start: float = 0.0) -> Markup:
    """One horizontal bar on a track: `start` and `share` in [0, 1] of the width."""
    start, share = _unit(start), _unit(share)
    body = _rect(start, max(share, 0.002) if share > 0 else 0.0, kind, height)
    return _strip(_rect(0, 1, "track", height) + body, height)


def interval(share: float, kind: str, ends: tuple[float, float] | None = None, height: int = 10) -> Markup:
    """A bar with the ends of an interval on it; all in [0, 1] of the width."""
    body = _rect(0, 1, "track", height) + _rect(0, _unit(share), kind, height)
    if ends:
        low, high = (100 * _unit(end) for end in ends)
        line = Markup('<line class="range" x1="{}%" x2="{}%" y1="{}" y2="{}"/>')
        middle = height / 2
        body += line.format(_at(low), _at(high), middle, middle)
        body += Markup("").join(line.format(_at(end), _at(end), 1, height - 1) for end in (low, high))
    return _strip(body, height)


def whisker(value: float, low: float, high: float, height: int = 16) -> Markup:
    """A value with its interval beside zero, which is in the middle; all in [-1, 1], cut where they are beyond."""
    x, left, right = (100 * _unit((end + 1) / 2) for end in (value, low, high))
    line = Markup('<line class="{}" x1="{}%" x2="{}%" y1="{}" y2="{}"/>')
    middle = height / 2
    body = line.format("grid", 50, 50, 0, height) + line.format("range", _at(left), _at(right), middle, middle)
    body += Markup("").join(line.format("range", _at(end), _at(end), 3, height - 3) for end in (left, right))
    return _strip(body + Markup('<circle class="dot" cx="{}%" cy="{}" r="3.5"/>').format(_at(x), middle), height)


def stack(parts: Sequence[tuple[float, str]], height: int = 14) -> Markup:
    """Parts of a whole side by side; `parts` are (amount, class)."""
    whole = sum(amount for amount, _ in parts) or 1
    drawn, at = _rect(0, 1, "track", height), 0.0
    for amount, kind in parts:
        drawn += _rect(at, amount / whole, kind, height)
        at += amount / whole
    return _strip(drawn, height)


def log_share(value: float, largest: float) -> float:
    """Width of a bar on a logarithmic scale from 1 to `largest`."""
    return math.log10(1 + value) / math.log10(1 + largest) if largest > 0 and value > 0 else 0.0


def sparkline(values: Values) -> Markup:
    """A small line without axes; gaps where a value is unknown. Empty for fewer than two values."""
    if sum(v is not None for v in values) < 2:
        return Markup("")
    points = _points(values, *_range([values], 0.0))
    x, y = points[-1] if points[-1] else next(p for p in reversed(points) if p)
    return Markup(
        '<svg class="spark" width="100%" height="34" aria-hidden="true" focusable="false">{}'
        '<circle class="dot" cx="{}%" cy="{}%" r="3"/></svg>'
    ).format(_lines(points, "spark-line", (2, 4, 96, 92)), _at(2 + x * 0.96), _at(4 + y * 0.92))


def line_chart(nights: Sequence[str], series: Mapping[str, Values], kinds: Mapping[str, str], title: str) -> Markup:
    """Values over nights, one line per name, on a value axis with round ticks; `kinds` gives each line's class."""
    ticks = _ticks(*_range(list(series.values()), 0.05))
    low, high = ticks[0], ticks[-1]
    grid = Markup("").join(
        Markup(
            '<line class="grid" x1="{0}%" x2="100%" y1="{1}%" y2="{1}%"/><text x="0" y="{1}%" dy="4">{2}</text>'
        ).format(LEFT, _at(_down(tick, low, high)), compact(tick))
        for tick in ticks
    )
    drawn = Markup("").join(
        _line_of_nights(nights, name, values, kinds[name], (low, high))
        for name, values in reversed(list(series.items()))
    )
    ends = Markup(
        '<text x="{}%" y="100%" dy="-2">{}</text><text x="100%" y="100%" dy="-2" text-anchor="end">{}</text>'
    ).format(LEFT, nights[0], nights[-1])
    return Markup('<svg class="lines" width="100%" height="270" role="img" aria-label="{}">{}{}{}</svg>').format(
        title, grid, drawn, ends
    )


def _line_of_nights(nights: Sequence[str], name: str, values: Values, kind: str, ends: tuple[float, float]) -> Markup:
    """One line of a line chart, a dot with a title at each night."""
    points = _points(values, *ends)
    dots = Markup("").join(
        Markup('<circle class="{}" cx="{}%" cy="{}%" r="3.5"><title>{}, {}: {}</title></circle>').format(
            kind,
            _at(LEFT + 2 + x * WIDTH / 100),
            _at(_down(value, *ends)),
            name,
            night,
            figure(value),
        )
        for (x, _), value, night in _known(points, values, nights)
    )
    return _lines(points, kind, (LEFT + 2, TOP, WIDTH, HEIGHT)) + dots


def _known(
    points: Sequence[tuple[float, float] | None], values: Values, nights: Sequence[str]
) -> list[tuple[tuple[float, float], float, str]]:
    rows = zip(points, values, nights, strict=True)
    return [(point, value, night) for point, value, night in rows if point is not None and value is not None]


def _lines(points: Sequence[tuple[float, float] | None], kind: str, box: tuple[float, float, float, float]) -> Markup:
    """Runs of known points in a stretched inner canvas, whose strokes keep their width; `box` in percent."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    lines = Markup("").join(
        Markup('<polyline class="{}" points="{}"/>').format(kind, " ".join(f"{_at(x)},{_at(y)}" for x, y in run))
        for run in runs
        if len(run) > 1
    )
    return Markup(
        '<svg x="{}%" y="{}%" width="{}%" height="{}%" viewBox="0 0 100 100" preserveAspectRatio="none" '
        'overflow="visible">{}</svg>'
    ).format(*box, lines)


def _points(values: Values, low: float, high: float) -> list[tuple[float, float] | None]:
    """Positions in percent of the canvas; y grows downwards."""
    steps = max(len(values) - 1, 1)
    return [
        None if v is None else ((100 * i / steps) if len(values) > 1 else 50.0, 100 * (high - v) / (high - low))
        for i, v in enumerate(values)
    ]


def _range(series: Sequence[Values], pad: float) -> tuple[float, float]:
    """Lowest and highest value with `pad` of their distance around; never below zero where no value is."""
    known = [v for values in series for v in values if v is not None] or [0.0, 1.0]
    low, high = min(known), max(known)
    # A flat line needs some height as well.
    width = max(high - low, abs(high) * 0.01, 1e-6)
    return max(low - width * pad, 0.0) if low >= 0 else low - width * pad, high + width * max(pad, 0.05)


def _ticks(low: float, high: float) -> list[float]:
    """Three to seven round values, the first at most `low`, the last at least `high`."""
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def _down(value: float, low: float, high: float) -> float:
    """Vertical position of a value on a line chart, in percent from the top."""
    return TOP + HEIGHT * (high - value) / (high - low)


def _rect(x: float, width: float, kind: str, height: int) -> Markup:
    return Markup('<rect class="{}" x="{}%" width="{}%" height="{}"/>').format(
        kind, _at(100 * x), _at(100 * width), height
    )


def _strip(content: Markup, height: int) -> Markup:
    return Markup('<svg class="strip" width="100%" height="{}" aria-hidden="true" focusable="false">{}</svg>').format(
        height, content
    )


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0


def _at(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
