"""Readouts of simulated experiments: figures, decisions, and the sentence."""

import re
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from experiment_counts import START, counts, experiment
from jobs.experiments.evidence import evidence
from jobs.experiments.metrics import METRICS
from jobs.experiments.power import plan
from jobs.experiments.readout import judge, readout
from jobs.experiments.row import Row
from jobs.experiments.verdict import verdict
from schemas.experiments import Arm

GUARDED = experiment(guardrails=("dwell", "hide_rate"))


def night(number: int):
    return START + timedelta(days=number)


def row_of(rows, metric="ctr", arm="b") -> Row:
    return next(row for row in rows if (row.metric, row.arm) == (metric, arm))


@pytest.fixture(scope="module")
def planted():
    return counts(effect=0.3)


def test_a_planted_effect_is_found_and_said(planted):
    rows = readout(GUARDED, planted, night(14))
    found = row_of(rows)
    assert found.decision == "better"
    assert found.low < 0.3 < found.high
    assert found.p_adjusted < 0.05
    assert re.fullmatch(r"b is better: CTR \+\d+\.\d% \(\d+\.\d to \d+\.\d\)", found.verdict)
    assert {row.verdict for row in rows if row.arm == "b"} == {found.verdict}
    assert len(rows) == 2 * len(METRICS)
    assert row_of(rows, arm="a").lift is None
    clicks = planted[(planted["arm"] == "b") & (planted["day"] >= START)]
    assert found.value == pytest.approx(clicks["clicks"].sum() / clicks["impressions"].sum())
    assert found.users == clicks["user_id"].nunique()


def test_reading_every_night_comes_to_what_the_last_night_says(planted):
    nightly = [row_of(readout(GUARDED, planted, night(number))) for number in range(1, 15)]
    first = next(row for row in nightly if row.decision != "none")
    assert nightly[-1].decided == first.decided == night(first.days - 1)
    assert all(row.decision == "better" and row.decided == first.decided for row in nightly[first.days - 1 :])
    assert all(one.p_value >= other.p_value for one, other in pairwise(nightly))


def test_without_a_difference_nothing_is_found():
    rows = readout(GUARDED, counts(seed=3), night(14))
    assert {row.decision for row in rows} == {"none"}
    assert row_of(rows).verdict.startswith("no difference found in 14 nights; CTR ")


def test_the_nights_that_are_left_are_told():
    table = counts(seed=3)
    assert (
        row_of(readout(GUARDED, table, night(0))).verdict == "no decision yet: 14 more nights, too little data so far"
    )
    wide = GUARDED.model_copy(update={"minimum_effect": 0.5})
    assert row_of(readout(wide, table, night(10))).verdict == "no decision yet: 4 more nights at this traffic"
    small = GUARDED.model_copy(update={"minimum_effect": 0.001})
    sentence = r"no decision yet: 1 more night, but this traffic finds \d+\.\d% at best, not 0\.1%"
    assert re.fullmatch(sentence, row_of(readout(small, table, night(13))).verdict)


def test_what_will_be_found_is_foreseen():
    table = counts(seed=3)
    foreseen, seen = (row_of(readout(GUARDED, table, night(number))).detectable for number in (7, 14))
    assert foreseen == pytest.approx(seen, rel=0.1)


def test_lost_users_stop_an_experiment(planted):
    kept = ~((planted["arm"] == "b") & planted["user_id"].str.endswith(("1", "2", "3", "4")))
    rows = readout(GUARDED, planted[kept], night(14))
    assert row_of(rows).verdict.startswith("stopped: sample ratio mismatch (p = ")


def test_a_guardrail_comes_before_a_gain(planted):
    worse = planted.copy()
    worse.loc[worse["arm"] == "b", "hides"] *= 3
    rows = readout(GUARDED, worse, night(14))
    assert row_of(rows, "hide_rate").decision == "worse"
    assert row_of(rows).decision == "better"
    assert re.match(r"guardrail hide rate \+\d+\.\d% \(.*\) is worse in b; CTR \+", row_of(rows).verdict)
    unguarded = readout(experiment(), worse, night(14))
    assert row_of(unguarded).verdict.startswith("b is better: CTR")


def test_fewer_hides_are_better():
    table = counts(seed=5)
    table.loc[(table["arm"] == "b") & (table.index % 3 > 0), "hides"] = 0
    rows = readout(experiment(primary="hide_rate"), table, night(14))
    assert row_of(rows, "hide_rate").lift < 0
    assert row_of(rows, "hide_rate").verdict.startswith("b is better: hide rate -")


def test_several_arms_are_each_compared_with_the_control():
    arms = (Arm(name="a", weight=2), Arm(name="b"), Arm(name="c"))
    table = counts(3_000, effect=0.3, seed=6)
    # Half of a's and all of b's users are real; the other halves of b become c.
    number = table["user_id"].str[1:].astype(int)
    table["arm"] = np.where((table["arm"] == "b") & (number % 2 == 1), "c", table["arm"])
    rows = judge(experiment(arms=arms), evidence(experiment(arms=arms), table, night(14)))
    assert [row_of(rows, arm=arm).decision for arm in ("b", "c")] == ["better", "better"]
    assert all(row_of(rows, arm=arm).verdict.startswith(f"{arm} is better") for arm in ("b", "c"))


def test_too_few_users_decide_nothing():
    rows = readout(GUARDED, counts(40, effect=1.0), night(14))
    assert row_of(rows).lift is None
    assert row_of(rows).verdict == "no difference found in 14 nights"
    empty = readout(GUARDED, counts(40).iloc[:0], night(14))
    assert {row.users for row in empty} == {0}


def test_the_sentence_is_about_what_matters_most():
    primary = Row("one", "B", "ctr", "primary", 9, 100, 0.1, 0.051, 0.020, 0.083, decision="better")
    guard = Row("one", "B", "dwell", "guardrail", 9, 100, 30.0, -0.04, -0.071, -0.008, decision="worse")
    calm = replace(guard, decision="none")
    told = {
        "B is better: CTR +5.1% (2.0 to 8.3)": ([primary, calm], 1),
        "guardrail dwell time per click -4.0% (-7.1 to -0.8) is worse in B; CTR +5.1% (2.0 to 8.3)": (
            [primary, guard],
            1,
        ),
        "stopped: sample ratio mismatch (p = 4e-05): users are lost or assigned wrongly": ([primary, guard], 4e-5),
        "no decision yet: 5 more nights at this traffic": ([replace(primary, decision="none"), calm], 1),
        "no difference found in 14 nights; CTR +5.1% (2.0 to 8.3)": ([replace(primary, decision="none", days=14)], 1),
    }
    for sentence, (rows, mismatch) in told.items():
        assert verdict(GUARDED, rows, mismatch) == sentence


def test_the_plan_tells_what_will_be_found():
    past = counts(4_000, seed=7).drop(columns="arm")
    whole = plan(GUARDED, past, START)
    assert (whole.days, whole.users) == (14, past.loc[past["day"] >= START, "user_id"].nunique())
    at_limit = plan(GUARDED.model_copy(update={"minimum_effect": whole.detectable}), past, START)
    assert at_limit.power == pytest.approx(0.8, abs=0.01)
    assert "in 14 nights" in whole.sentence
    # Half of the traffic, or unequal arms, find less; fewer tests find more.
    assert plan(GUARDED.model_copy(update={"traffic": 0.5}), past, START).detectable > 1.3 * whole.detectable
    uneven = (Arm(name="a", weight=4), Arm(name="b"))
    assert plan(GUARDED.model_copy(update={"arms": uneven}), past, START).detectable > 1.1 * whole.detectable
    assert plan(experiment(), past, START).detectable < whole.detectable
    # A past of four days only, and none.
    assert plan(GUARDED, past[past["day"] < night(4)], START).days == 4
    assert plan(GUARDED, past.iloc[:0], START).power == 0


def test_the_plan_agrees_with_the_readout():
    table = counts(4_000, seed=8)
    row = row_of(readout(experiment(), table, night(14)))
    planned = plan(experiment(), table.drop(columns="arm"), START)
    assert row.detectable == pytest.approx(planned.detectable, rel=0.1)
