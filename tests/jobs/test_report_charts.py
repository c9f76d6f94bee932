"""Hand-drawn charts: valid XML, positions inside the canvas, labels escaped."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jobs.report import charts

numbers = st.one_of(st.none(), st.floats(-1e9, 1e9))


def percentages(svg: str) -> list[float]:
    return [float(text) for text in re.findall(r'(?:x|width|cx|y1)="(-?[\d.]+)%"', svg)]


@given(st.lists(numbers, max_size=20))
def test_a_sparkline_is_empty_or_valid_and_inside_its_box(values):
    svg = charts.sparkline(values)
    if sum(v is not None for v in values) < 2:
        assert svg == ""
        return
    ElementTree.fromstring(svg)
    assert all(0 <= at <= 100 for at in percentages(svg))


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=15))
def test_a_line_chart_keeps_every_point_inside(pairs):
    nights = [f"night {n}" for n in range(len(pairs))]
    series = {"one": [a for a, _ in pairs], "two": [b for _, b in pairs]}
    svg = charts.line_chart(nights, series, {"one": "ranker", "two": "second"}, "lines")
    ElementTree.fromstring(svg)
    assert all(0 <= at <= 100 for at in percentages(svg))
    assert svg.count("<circle") == sum(v is not None for pair in pairs for v in pair)


@given(st.floats(0, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_and_cover_the_values(low, width):
    assume(abs(low + width - low - width) < 1e-6 * width)  # a width that floats can tell at such a height
    ticks = charts._ticks(low, low + width)
    assert 3 <= len(ticks) <= 8
    assert ticks[0] <= low + width * 1e-3
    assert ticks[-1] >= low + width - width * 1e-3


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.5, 3.0, float("nan"), float("inf")])
def test_a_bar_never_leaves_its_track(share):
    svg = charts.bar(share)
    ElementTree.fromstring(svg)
    assert all(0 <= at <= 100 for at in percentages(svg))


def test_labels_are_escaped():
    svg = charts.line_chart(["<b>", "x"], {"<script>": [1.0, 2.0]}, {"<script>": 'a"b'}, "<i>")
    assert "<script>" not in svg
    ElementTree.fromstring(svg)


def test_a_stack_fills_its_track_and_survives_nothing():
    svg = charts.stack([(1, "a"), (3, "b")])
    assert [float(w) for w in re.findall(r'class="[ab]".*? width="([\d.]+)%"', svg)] == [25, 75]
    ElementTree.fromstring(charts.stack([]))
