"""The readout as Spark makes it: the same arms as the lists, the same sums as in one piece, nothing of the future."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from experiment_counts import experiment
from jobs import experiment_readouts
from jobs.experiment_readouts import arm_of, counts, gathered, readouts
from jobs.experiments.evidence import evidence
from jobs.experiments.metrics import COUNTS, METRICS
from jobs.frames import table_schema
from schemas.experiments import Arm, Experiments

pytestmark = pytest.mark.spark
START = date(2026, 1, 1)
USERS = [f"u{n}" for n in range(300)]
KINDS = ("impression", "click", "conversion", "dwell", "helpful", "unhelpful", "hide_item", "hide_theme", "like")


def plan(**settings) -> Experiments:
    arms = (Arm(name="a", weight=1), Arm(name="b", weight=2), Arm(name="c", weight=0.5))
    one = experiment(arms=arms, traffic=0.7, offset=0.1, **settings)
    return Experiments(holdout=0.1, planned=(one,))


def feedback(days: int = 20) -> list[tuple]:
    """Rows of `feedback`: everybody does something on most days, ten days of them before the start."""
    chance = np.random.default_rng(5)
    rows = []
    for number in range(4_000):
        day = START + timedelta(days=int(chance.integers(-10, days - 10)))
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=number)
        kind = KINDS[int(chance.choice(len(KINDS), p=[0.6, 0.2, *[0.2 / 7] * 7]))]
        value = float(chance.gamma(2, 10)) if kind == "dwell" else None
        rows.append((USERS[int(chance.integers(len(USERS)))], f"i{number % 7}", at, kind, value, 1, None))
    return rows


@pytest.fixture(scope="module")
def frame(spark):
    return spark.createDataFrame(feedback(), table_schema("feedback")).persist()


def test_spark_tells_the_same_arms_as_those_who_make_the_lists(spark):
    every = plan()
    users = spark.createDataFrame([(user,) for user in USERS], "user_id string")
    found = {row["user_id"]: row["arm"] for row in users.withColumn("arm", arm_of(every.planned[0], every)).collect()}
    numbers = every.arms(USERS, START)["one"]
    names = [*(arm.name for arm in every.planned[0].arms), None]
    assert [found[user] for user in USERS] == [names[number] for number in numbers]
    assert set(found.values()) == {"a", "b", "c", None}


def test_counts_are_those_of_an_independent_reckoning(frame):
    every = plan()
    table = counts(frame, every.planned[0], every).toPandas()
    raw = pd.DataFrame(feedback(), columns=["user_id", "item_id", "timestamp", "kind", "value", "rank", "detail"])
    numbers = dict(zip(USERS, every.arms(USERS, START)["one"], strict=True))
    inside = raw[raw["user_id"].map(numbers) >= 0]
    assert set(table["user_id"]) == set(inside["user_id"])
    names = {"impression": "impressions", "click": "clicks", "conversion": "conversions", "helpful": "helpful"}
    for kind, column in names.items():
        assert table[column].sum() == (inside["kind"] == kind).sum()
    assert table["hides"].sum() == inside["kind"].isin(["hide_item", "hide_theme"]).sum()
    assert table["dwell_seconds"].sum() == pytest.approx(inside["value"].sum())
    assert not table.duplicated(["user_id", "day"]).any()
    assert set(COUNTS) <= set(table.columns)


@pytest.mark.parametrize("part", [100, 10_000])
def test_sums_of_parts_are_those_of_the_whole(frame, monkeypatch, part):
    monkeypatch.setattr(experiment_readouts, "PART", part)
    every, night = plan(), START + timedelta(days=8)
    one = every.planned[0]
    rows = counts(frame, one, every)
    found, whole = gathered(rows, one, night), evidence(one, rows.toPandas(), night)
    for metric in METRICS:
        for arm in one.arms:
            for name in ("users", "totals", "products"):
                left, right = (getattr(side[metric][arm.name], name) for side in (found, whole))
                assert np.allclose(left, right)


def test_a_night_knows_nothing_of_its_own_day_or_later(frame):
    every, night = plan(), START + timedelta(days=5)
    begun = list(every.planned)
    before = frame.where(f"timestamp < '{night.isoformat()}'")
    assert readouts(frame, begun, every, night) == readouts(before, begun, every, night)


def test_an_experiment_without_feedback_says_that_there_is_too_little(spark):
    every = plan()
    rows = readouts(spark.createDataFrame([], table_schema("feedback")), list(every.planned), every, START)
    assert {row.verdict for row in rows if row.arm == "b"} == {
        "no decision yet: 14 more nights, too little data so far"
    }
