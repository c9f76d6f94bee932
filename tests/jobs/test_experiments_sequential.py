"""A test that is looked at every night is wrong as rarely as it says, whatever the nights have in common."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.power import NormalIndPower

from jobs.experiments.sequential import DRAWS, NightlyTest

DAYS = np.arange(1, 15)
INDEPENDENT = 1 / np.maximum.outer(DAYS, DAYS)
"""Means over nights that have nothing in common."""


def returning(share: float) -> np.ndarray:
    """A part of the variance is between users who come again, and does not shrink; tastes fade with days between."""
    fading = np.exp(-np.abs(np.subtract.outer(DAYS, DAYS)) / 20)
    return (1 - share) * INDEPENDENT + share * fading


def paths(covariance: np.ndarray, times: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal(
        np.zeros(len(covariance)), covariance, times, method="cholesky"
    )


@pytest.mark.parametrize("level", [0.05, 0.0125])
@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_peeking_every_night_keeps_the_level(share, level):
    covariance = returning(share)
    test = NightlyTest(covariance, DAYS, 14)
    crossed = (np.abs(paths(covariance, 100_000, 1)) >= test.bounds(level) * test.errors).any(axis=1).mean()
    assert crossed == pytest.approx(level, abs=4 * np.sqrt(level / DRAWS) + 0.001)


def test_bounds_are_those_of_textbooks_where_nights_have_nothing_in_common():
    # Five equal looks, two-sided 5%, Lan and DeMets' O'Brien-Fleming spending: Jennison & Turnbull 2000, R's gsDesign.
    days = np.arange(1, 6)
    bounds = NightlyTest(1 / np.maximum.outer(days, days), days, 5).bounds(0.05)
    assert bounds == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], rel=0.02)


def test_one_look_is_the_usual_test():
    test = NightlyTest(np.array([[0.04]]), np.array([1]), 1)
    assert test.bounds(0.05)[0] == pytest.approx(norm.isf(0.025), rel=0.01)
    usual = NormalIndPower().power(0.5, nobs1=50, alpha=0.05, ratio=1)
    assert test.power(0.5, 0.05) == pytest.approx(usual, abs=0.01)
    assert test.p_value(np.array([0.392])) == pytest.approx(0.05, rel=0.02)


def test_later_nights_change_nothing_of_earlier_ones():
    whole, early = NightlyTest(returning(0.4), DAYS, 14), NightlyTest(returning(0.4)[:6, :6], DAYS[:6], 14)
    assert whole.bounds(0.05)[:6] == pytest.approx(early.bounds(0.05))


@settings(max_examples=15)
@given(st.lists(st.floats(-0.8, 0.8), min_size=14, max_size=14), st.sampled_from([0.01, 0.05, 0.1]))
def test_a_small_p_value_stays_small_and_agrees_with_the_bounds(differences, level):
    logs = np.array(differences) / np.sqrt(DAYS)
    values = [NightlyTest(returning(0.2)[:k, :k], DAYS[:k], 14).p_value(logs[:k]) for k in (3, 9, 14)]
    assert values[0] >= values[1] >= values[2]
    if abs(values[2] - level) > 0.002:
        assert (values[2] < level) == (NightlyTest(returning(0.2), DAYS, 14).crossing(logs, level) is not None)


def test_intervals_of_all_nights_hold_together():
    covariance, truth = returning(0.3), 0.1
    test = NightlyTest(covariance, DAYS, 14)
    widths = test.bounds(0.05) * test.errors
    missed = (np.abs(paths(covariance, 50_000, 2)) > widths).any(axis=1).mean()
    assert missed == pytest.approx(0.05, abs=0.006)
    for night in (6, 14):
        found = NightlyTest(covariance[:night, :night], DAYS[:night], 14).interval(np.full(night, truth), 0.05)
        assert found == pytest.approx((truth - widths[night - 1], truth + widths[night - 1]))


def test_a_night_without_anybody_and_nights_left_out_are_no_harm():
    repeated = returning(0.3)[np.ix_([0, 1, 1, 2], [0, 1, 1, 2])]
    assert np.isfinite(NightlyTest(repeated, np.array([1, 2, 3, 4]), 14).bounds(0.05)).all()
    late = NightlyTest(returning(0.3)[4:, 4:], DAYS[4:], 14)
    crossed = (np.abs(paths(returning(0.3)[4:, 4:], 50_000, 3)) >= late.bounds(0.05) * late.errors).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=0.006)
    assert NightlyTest(np.zeros((0, 0)), np.array([], dtype=int), 14).p_value(np.array([])) == 1
