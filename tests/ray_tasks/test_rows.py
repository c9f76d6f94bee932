"""Ragged rows and top lists against loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ray_tasks.interactions.rows import Rows, steady, top_k

ragged = st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=6)
coarse = st.sampled_from([np.nan, -np.inf, -1.0, 0.0, 0.5, 1.0, 2.0])
shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=7) | st.tuples(st.just(2), st.integers(30, 150))
scores = hnp.arrays(np.float32, shapes, elements=coarse)


def rows_of(lists):
    row = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    return Rows.of(row, np.array([item for one in lists for item in one], dtype=np.int64), len(lists))


@settings(deadline=None)
@given(ragged, st.data())
def test_rows_hold_and_take_what_the_lists_hold(lists, data):
    rows = rows_of(lists)
    assert [rows[r].tolist() for r in range(len(rows))] == lists
    assert rows.position_of.tolist() == [place for one in lists for place in range(len(one))]
    wanted = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    taken = rows.take(np.array(wanted, dtype=np.int64))
    assert [taken[r].tolist() for r in range(len(taken))] == [lists[r] for r in wanted]


def test_weights_halve_every_half_life_and_0_is_no_decay():
    rows = rows_of([[4, 1, 0], [2]])
    assert rows.weighted(5, 1).toarray().tolist() == [[0.25, 0.5, 0, 0, 1], [0, 0, 1, 0, 0]]
    assert rows.weighted(5, 0).toarray().tolist() == [[1, 1, 0, 0, 1], [0, 0, 1, 0, 0]]


@settings(deadline=None)
@given(scores, st.integers(1, 9))
def test_the_top_is_by_score_then_position_and_no_score_is_no_place(values, k):
    for row, found in zip(values, top_k(values, k), strict=True):
        known = [n for n in range(len(row)) if row[n] > -np.inf]
        expected = sorted(known, key=lambda n: (-row[n], n))[:k]
        assert found.tolist() == expected + [-1] * (k - len(expected))


numbers = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


@settings(deadline=None)
@given(hnp.arrays(np.float32, 20, elements=numbers))
def test_steady_scores_keep_order_and_16_bits_and_are_fixed_points(values):
    found = steady(values)
    assert (np.diff(found[np.argsort(values)]) >= 0).all()
    assert np.allclose(found, values, rtol=2**-16, atol=0)
    assert np.array_equal(steady(found), found)
    assert np.isnan(steady(np.array([np.nan], dtype=np.float32)))[0]
