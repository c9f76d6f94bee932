"""NDCG and recall against a definition written out in plain Python."""

from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_tasks.interactions.metrics import ndcg, recall
from ray_tasks.interactions.rows import Rows

WIDTH = 12


@st.composite
def cases(draw):
    """Per user a ranked list without repeats, filled up with -1, and a set of targets."""
    users = draw(
        st.lists(
            st.tuples(
                st.lists(st.integers(0, 14), unique=True, max_size=WIDTH), st.sets(st.integers(0, 14), max_size=12)
            ),
            min_size=1,
            max_size=6,
        )
    )
    return [lists for lists, _ in users], [targets for _, targets in users]


def arrays(lists, targets, width=WIDTH):
    ranked = np.array([found + [-1] * (width - len(found)) for found in lists], dtype=np.int64)
    return ranked, rows(targets)


def rows(targets):
    user = np.repeat(np.arange(len(targets)), [len(t) for t in targets])
    return Rows.of(user, np.array([item for t in targets for item in sorted(t)], dtype=np.int64), len(targets))


def plain_ndcg(found, targets, k):
    gain = sum(1 / log2(place + 2) for place, item in enumerate(found[:k]) if item in targets)
    ideal = sum(1 / log2(place + 2) for place in range(min(k, len(targets))))
    return gain / ideal if targets else 0.0


def plain_recall(found, targets, k):
    return len(set(found[:k]) & targets) / len(targets) if targets else 0.0


@settings(deadline=None)
@given(cases(), st.integers(1, 20))
def test_both_equal_their_definitions_and_stay_between_0_and_1(case, k):
    lists, targets = case
    ranked, wanted = arrays(lists, targets)
    for found, plain in ((ndcg(ranked, wanted, k), plain_ndcg), (recall(ranked, wanted, k), plain_recall)):
        assert found == pytest.approx([plain(one, t, k) for one, t in zip(lists, targets, strict=True)])
        assert ((found >= 0) & (found <= 1 + 1e-12)).all()


@settings(deadline=None)
@given(st.lists(st.sets(st.integers(0, 14), min_size=1, max_size=WIDTH), min_size=1, max_size=5), st.integers(1, 15))
def test_a_list_of_targets_alone_is_perfect_however_short(targets, k):
    ranked, wanted = arrays([sorted(t) for t in targets], targets)
    assert ndcg(ranked, wanted, k) == pytest.approx(1)
    assert recall(ranked, wanted, WIDTH) == pytest.approx(1)


@settings(deadline=None)
@given(cases(), st.integers(1, WIDTH), st.data())
def test_a_hit_moved_up_never_lowers_ndcg(case, k, data):
    lists, targets = case
    ranked, wanted = arrays(lists, targets)
    better = ranked.copy()
    place = data.draw(st.integers(1, WIDTH - 1))
    for user, t in enumerate(targets):
        if better[user, place] in t and better[user, place - 1] not in t:
            better[user, [place - 1, place]] = better[user, [place, place - 1]]
    assert (ndcg(better, wanted, k) >= ndcg(ranked, wanted, k) - 1e-12).all()


def test_empty_places_and_other_users_targets_are_no_hits():
    ranked, wanted = arrays([[], [3], [3, 4]], [{14}, {0}, set()])
    assert ndcg(ranked, wanted).tolist() == recall(ranked, wanted).tolist() == [0, 0, 0]


def test_nobody_to_measure_is_no_value():
    assert len(ndcg(np.zeros((0, 10), dtype=np.int64), rows([]))) == 0
