"""Off-policy estimates: right on average whatever is shown, and equal to what was earned where nothing changes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.experiments.off_policy import Shown, estimates, shuffled_propensity

SHARE = st.floats(0, 1)


@given(SHARE, st.integers(1, 8))
def test_every_place_shows_some_item_and_every_item_of_the_pool_stands_somewhere(share, pool):
    place, rank = np.meshgrid(np.arange(1, pool + 1), np.arange(1, pool + 1), indexing="ij")
    chances = shuffled_propensity(place, rank, share, pool)
    assert np.allclose(chances.sum(axis=0), 1)
    assert np.allclose(chances.sum(axis=1), 1)


@given(st.integers(0, 1_000))
def test_where_the_new_ranker_is_the_one_in_charge_all_say_what_was_earned(seed):
    chance = np.random.default_rng(seed)
    reward, propensity = chance.integers(0, 2, 40).astype(float), chance.uniform(0.1, 1, 40)
    guess = chance.random(40)
    told = estimates(Shown(np.repeat(np.arange(10), 4), reward, propensity, propensity, guess, guess))
    assert all(one.value == pytest.approx(reward.mean()) for one in told.values())
    assert all(one.low <= one.value <= one.high for one in told.values())


@given(st.integers(0, 1_000), st.floats(0.05, 1), st.permutations([1, 2, 3]))
def test_on_average_over_all_lists_that_may_be_shown_the_estimate_is_the_truth(seed, share, new_places):
    """All lists of three items with their chances: the mean of the estimates must be what the new list earns."""
    chance = np.random.default_rng(seed)
    earns, guess = chance.random((3, 3)), chance.random((3, 3))  # by rank of the item and place
    new_rank_at = {place: rank for rank, place in enumerate(new_places, 1)}
    truth = np.mean([earns[new_rank_at[place] - 1, place - 1] for place in (1, 2, 3)])
    means = {"ips": 0.0, "dr": 0.0}
    for ranks in itertools.permutations((1, 2, 3)):
        likely = share / 6 + (1 - share) * (ranks == (1, 2, 3))
        place, rank = np.array([1, 2, 3]), np.array(ranks)
        told = estimates(
            Shown(
                np.zeros(3, dtype=np.int64),
                earns[rank - 1, place - 1],
                shuffled_propensity(place, rank, share, 3),
                np.array([new_places[r - 1] == p for r, p in zip(ranks, place, strict=True)], dtype=float),
                guess[rank - 1, place - 1],
                np.array([guess[new_rank_at[p] - 1, p - 1] for p in (1, 2, 3)]),
            )
        )
        for name in means:
            means[name] += likely * told[name].value
    assert means["ips"] == pytest.approx(truth)
    assert means["dr"] == pytest.approx(truth)


@given(st.integers(0, 1_000))
def test_a_user_who_comes_twice_tells_no_more_than_once(seed):
    """Copies of a user's places change no estimate and do not narrow its interval."""
    chance = np.random.default_rng(seed)
    columns = [chance.integers(0, 2, 30).astype(float), *(chance.uniform(0.2, 1, 30) for _ in range(4))]
    user = np.repeat(np.arange(10), 3)
    once, twice = Shown(user, *columns), Shown(np.tile(user, 2), *(np.tile(column, 2) for column in columns))
    for name, one in estimates(once).items():
        other = estimates(twice)[name]
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))


def test_self_normalised_estimates_stay_within_what_can_be_earned():
    shown = Shown(
        np.arange(4), np.array([0.0, 1, 1, 1]), np.full(4, 0.01), np.array([1.0, 1, 1, 0]), np.zeros(4), np.zeros(4)
    )
    told = estimates(shown)
    assert told["ips"].value > 1
    assert told["snips"].value == pytest.approx(2 / 3)
