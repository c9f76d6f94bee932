"""The rule by which a challenger is judged, for any differences; and the figures that it rests on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.statistics import Estimate, Figure
from ray_tasks.trials.measures import JUDGED, differences, figures
from ray_tasks.trials.verdict import FEWEST, TOLERANCE, verdict
from schemas.errors import NothingToDo

SMALL = st.floats(-1, 1, allow_nan=False)


@st.composite
def estimates(draw):
    low, value, high = sorted(draw(st.tuples(SMALL, SMALL, SMALL)))
    return Estimate(value, low, high, draw(st.integers(FEWEST, 500)), np.zeros(0))


def figure(estimate, metric="validity"):
    return Figure("difference", "item", "profile", metric, estimate)


def made(value, low, high, n=60):
    return figure(Estimate(value, low, high, n, np.zeros(0)))


def opposite(found):
    return Estimate(-found.value, -found.high, -found.low, found.n, found.draws)


@given(st.lists(estimates(), min_size=1, max_size=6))
def test_whoever_is_better_makes_the_other_worse(found):
    here, there = verdict([figure(e) for e in found]), verdict([figure(opposite(e)) for e in found])
    if here.outcome == "better":
        assert there.outcome == "worse"
    assert here.outcome in ("better", "equal", "worse")
    assert here.may_be_promoted == (here.outcome != "worse")


@given(st.lists(estimates(), min_size=1, max_size=6), estimates())
def test_one_more_loss_never_helps(found, loss):
    before = verdict([figure(e) for e in found]).outcome
    beyond_noise = Estimate(-abs(loss.value) - 0.01, -1.5, -0.001, loss.n, loss.draws)
    assert verdict([figure(e) for e in [*found, beyond_noise]]).outcome == "worse"
    if before == "worse":
        assert verdict([figure(e) for e in [*found, loss]]).outcome == "worse"


@given(st.lists(estimates(), min_size=1, max_size=6))
def test_the_order_of_the_metrics_does_not_matter(found):
    told = [figure(e) for e in found]
    assert verdict(told).outcome == verdict(told[::-1]).outcome


def test_an_unproven_fall_counts_beyond_the_tolerance_only():
    assert verdict([made(-TOLERANCE, -0.2, 0.1)]).outcome == "equal"
    assert verdict([made(-TOLERANCE - 0.01, -0.2, 0.1)]).outcome == "worse"


def test_a_proven_fall_counts_however_small():
    assert verdict([made(-0.01, -0.02, -0.001)]).outcome == "worse"


def test_a_gain_must_be_beyond_noise_and_over_enough_entities():
    assert verdict([made(0.3, -0.01, 0.6)]).outcome == "equal"
    assert verdict([made(0.3, 0.01, 0.6)]).outcome == "better"
    assert verdict([made(0.3, 0.01, 0.6, n=FEWEST - 1)]).outcome == "equal"


def test_the_reasons_name_what_decided():
    assert verdict([made(0.3, 0.1, 0.6), made(0.0, -0.1, 0.1)]).reasons == (
        "validity of item profiles: +0.300 (95% +0.100 to +0.600, n=60)",
    )


def test_nothing_measured_proves_nothing():
    with pytest.raises(NothingToDo):
        verdict([])


def test_differences_are_paired_and_of_judged_metrics_only():
    champion = {
        ("profile", "validity"): np.array([1.0, 0.0, 1.0]),
        ("profile", "characters"): np.array([1.0, 2.0, 3.0]),
    }
    challenger = {
        ("profile", "validity"): np.array([0.0, 0.0, 1.0]),
        ("profile", "characters"): np.array([9.0, 9.0, 9.0]),
    }
    (found,) = differences("item", champion, challenger, 1)
    assert (found.arm, found.metric, found.estimate.n) == ("difference", "validity", 3)
    assert found.estimate.value == pytest.approx(-1 / 3)
    assert found.metric in JUDGED


def test_arms_that_wrote_the_same_differ_by_nothing_in_every_draw():
    values = {("profile", "validity"): np.array([1.0, 0.0] * 20)}
    (found,) = differences("item", values, values, 1)
    assert (found.estimate.low, found.estimate.value, found.estimate.high) == (0, 0, 0)


def test_entities_that_say_nothing_are_left_out_of_a_mean():
    (found,) = figures("champion", "item", {("profile", "characters"): np.array([10.0, np.nan, 30.0])}, 1)
    assert (found.estimate.value, found.estimate.n) == (20.0, 2)
    assert figures("champion", "item", {("profile", "characters"): np.array([np.nan])}, 1) == []
