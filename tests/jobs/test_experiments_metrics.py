"""Values, their errors, and what the users' past takes off them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_counts import START, counts, experiment
from jobs.experiments.corrections import holm
from jobs.experiments.cuped import adjust, lift
from jobs.experiments.evidence import add, evidence
from jobs.experiments.metrics import COUNTS, METRICS, log_ratios, sums
from jobs.experiments.ratio_mismatch import ALARM, p_value
from schemas.errors import ExperimentError
from schemas.experiments import MetricName

END = experiment().end


def test_metrics_are_those_that_experiments_may_name():
    assert tuple(METRICS) == MetricName.__args__
    assert {m.numerator for m in METRICS.values()} | {c for m in METRICS.values() for c in m.denominator} == set(COUNTS)


def arms(users: int, rng: np.random.Generator, loyal: float, past: bool = True):
    """Two arms of one look without a difference; the past resembles the present the more, the larger `loyal` is."""
    activity, chance = rng.gamma(2, 5, users), rng.beta(2, 8, users)
    other = loyal * chance + (1 - loyal) * rng.beta(2, 8, users)
    seen, before = rng.poisson(activity) + 1, rng.poisson(activity) * past
    clicks, past_clicks = rng.binomial(seen, chance), rng.binomial(before, other)
    exposed = np.ones((users // 2, 1), dtype=bool)
    return [
        sums(
            np.array([clicks[rows], seen[rows]], float)[..., None], np.array([past_clicks[rows], before[rows]]), exposed
        )
        for rows in (slice(None, users // 2), slice(users // 2, None))
    ]


def drawn(times: int, loyal: float, seed: int = 1):
    """(times,) log lifts without and with the past, and the variances that were claimed for them."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(times):
        one, other = arms(800, rng, loyal)
        (base, base_errors), (value, errors) = log_ratios(one), log_ratios(other)
        difference, covariance = value - base, errors + base_errors
        logs, left, _ = adjust(difference, covariance)
        rows.append((difference[0, 0], logs[0], covariance[0, 0, 0, 0], left[0, 0]))
    return np.array(rows).T


@pytest.mark.parametrize("loyal", [0, 0.5, 1])
def test_the_past_leaves_lifts_unbiased_and_never_less_sure(loyal):
    plain, adjusted, plain_variance, variance = drawn(400, loyal)
    assert abs(adjusted.mean()) < 4 * adjusted.std() / np.sqrt(len(adjusted))
    assert (variance <= plain_variance + 1e-12).all()
    # What is claimed is what is seen: a variance of 400 draws is within a quarter of the truth.
    assert np.var(plain) == pytest.approx(plain_variance.mean(), rel=0.25)
    assert np.var(adjusted) == pytest.approx(variance.mean(), rel=0.25)
    assert np.var(adjusted) / np.var(plain) < (0.75 if loyal == 1 else 1.03)
    assert 0.92 <= (np.abs(adjusted) < 1.96 * np.sqrt(variance)).mean() <= 0.98


def test_without_a_past_nothing_is_adjusted():
    one, other = arms(600, np.random.default_rng(3), 1, past=False)
    found = lift(one, other)
    assert found.variance_ratio == 1
    assert found.logs[0] == pytest.approx(np.log(np.divide(*other.totals[:2, 0]) / np.divide(*one.totals[:2, 0])))


def test_users_are_drawn_so_the_error_is_not_that_of_independent_impressions():
    one, _ = arms(4_000, np.random.default_rng(4), 1)
    clicks, seen = one.totals[:2, 0]
    naive = 1 / clicks - 1 / seen
    assert log_ratios(one)[1][0, 0, 0, 0] > 2 * naive


@settings(max_examples=5)
@given(st.integers(0, 10_000))
def test_sums_of_parts_of_the_users_add_up_in_any_order_of_rows(seed):
    table = counts(60, seed=seed % 50)
    rng = np.random.default_rng(seed)
    half = set(rng.permutation(table["user_id"].unique())[:30])
    parts = [evidence(experiment(), part, END) for _, part in table.groupby(table["user_id"].isin(half))]
    whole, joined = evidence(experiment(), table.sample(frac=1, random_state=seed), END), add(*parts)
    for metric in METRICS:
        for arm in ("a", "b"):
            for name in ("users", "totals", "products"):
                assert getattr(joined[metric][arm], name) == pytest.approx(getattr(whole[metric][arm], name))


def test_evidence_counts_each_day_and_nothing_from_the_night_on():
    table = counts(300)
    found = evidence(experiment(), table, START + pd.Timedelta(days=3).to_pytimedelta())["ctr"]["a"]
    seen = table[(table["arm"] == "a") & (table["day"] >= START)]
    for day in range(3):
        until = seen[seen["day"] <= START + pd.Timedelta(days=day).to_pytimedelta()]
        assert found.users[day] == until["user_id"].nunique()
        assert found.totals[:2, day] == pytest.approx([until["clicks"].sum(), until["impressions"].sum()])
        past = table[table["user_id"].isin(until["user_id"]) & (table["day"] < START)]
        assert found.totals[2:, day] == pytest.approx([past["clicks"].sum(), past["impressions"].sum()])


def test_counts_that_cannot_be_trusted_are_refused():
    table = counts(50)
    with pytest.raises(ExperimentError, match=r"lack the columns \['clicks'\]"):
        evidence(experiment(), table.drop(columns="clicks"), END)
    with pytest.raises(ExperimentError, match=r"arms that it does not have: \['c'\]"):
        evidence(experiment(), table.replace({"arm": {"b": "c"}}), END)
    table.loc[table.index[0], "arm"] = "b" if table["arm"].iloc[0] == "a" else "a"
    with pytest.raises(ExperimentError, match=r"1 user\(s\) were shown two arms"):
        evidence(experiment(), table, END)


def test_holm_corrects_for_what_is_left():
    found = holm({("b", "ctr"): 0.01, ("b", "dwell"): 0.04, ("b", "hides"): 0.03})
    assert found == pytest.approx({("b", "ctr"): 0.03, ("b", "dwell"): 0.06, ("b", "hides"): 0.06})
    assert holm({}) == {}


def nightly(share: float, users: int, rng: np.random.Generator) -> np.ndarray:
    return rng.multinomial(users // 14, [1 - share, share], 14).cumsum(axis=0).T.astype(float)


def test_a_wrong_share_is_noticed_and_a_right_one_is_not():
    rng, even = np.random.default_rng(5), np.array([0.5, 0.5])
    assert sum(p_value(nightly(0.51, 200_000, rng), even) < ALARM for _ in range(100)) >= 95
    assert sum(p_value(nightly(0.5, 200_000, rng), even) < 0.05 for _ in range(200)) <= 10
    assert p_value(np.zeros((2, 3)), even) == 1
    assert p_value(np.zeros((2, 0)), even) == 1


def test_unequal_shares_are_no_mismatch():
    shares = np.array([0.7, 0.2, 0.1])
    users = np.random.default_rng(6).multinomial(50_000, shares, 3).cumsum(axis=0).T
    assert p_value(users.astype(float), shares) > 0.05
    assert p_value(users[::-1].astype(float), shares) < ALARM
