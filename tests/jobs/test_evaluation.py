"""Metrics in Spark against an independent reckoning in NumPy."""

from datetime import UTC, datetime

import numpy as np
import pytest

from jobs.evaluation import accuracy, coverage, evaluate, targets_by_slice
from jobs.frames import table_schema, write_stage

pytestmark = pytest.mark.spark
WHEN = datetime(2026, 11, 1, tzinfo=UTC)


def random_night(seed):
    chance = np.random.default_rng(seed)
    users, items = [f"u{n}" for n in range(12)], [f"i{n}" for n in range(40)]
    rows = [
        (str(chance.choice(users)), str(chance.choice(items)), WHEN, float(chance.integers(1, 6)), 1.0, split)
        for split, count in (("train", 60), ("validation", 20), ("test", 120))
        for _ in range(count)
    ]
    lists = [
        (model, user, rank + 1, str(item))
        for model in ("a", "b")
        for user in users
        if chance.random() < 0.8
        for rank, item in enumerate(chance.permutation(items)[:20])
    ]
    return rows, lists, items


def expected(rows, lists, items, min_rating):
    before = {(r[0], r[1]) for r in rows if r[5] != "test"}
    warm_users, warm_items = {u for u, _ in before}, {i for _, i in before}
    test = {(r[0], r[1]) for r in rows if r[5] == "test" and (min_rating is None or r[3] >= min_rating)}
    slices = {
        "all": lambda u, i: True,
        "warm_users": lambda u, i: u in warm_users,
        "new_users": lambda u, i: u not in warm_users,
        "warm_items": lambda u, i: i in warm_items,
        "new_items": lambda u, i: i not in warm_items,
    }
    found = {}
    for model in {row[0] for row in lists}:
        for name, belongs in slices.items():
            targets = [pair for pair in test - before if belongs(*pair)]
            ndcg, recall = [], []
            for user in sorted({u for u, _ in targets}):
                wanted = {i for u, i in targets if u == user}
                ranked = [r[3] for r in sorted(lists, key=lambda r: r[2]) if r[0] == model and r[1] == user]
                gains = np.array([item in wanted for item in ranked[:10]], dtype=float)
                ideal = (1 / np.log2(np.arange(2, 2 + min(10, len(wanted))))).sum()
                ndcg.append((gains / np.log2(np.arange(2, 2 + len(gains)))).sum() / ideal)
                recall.append(len(wanted & set(ranked[:20])) / len(wanted))
            if ndcg:
                found[model, name, "ndcg@10"] = (np.mean(ndcg), len(ndcg))
                found[model, name, "recall@20"] = (np.mean(recall), len(recall))
        top = {r[3] for r in lists if r[0] == model and r[2] <= 10}
        owners = {r[1] for r in lists if r[0] == model}
        found[model, "all", "coverage@10"] = (len(top) / len(items), len(owners))
    return found


@pytest.mark.parametrize(("seed", "min_rating"), [(1, None), (2, 3.5)])
def test_metrics_are_those_of_an_independent_reckoning(spark, seed, min_rating):
    rows, lists, items = random_night(seed)
    # Two copies: the same pair may come twice in a window, and counts once.
    splits = spark.createDataFrame(rows + rows, table_schema("splits"))
    rankings = spark.createDataFrame(lists, table_schema("offline_rankings"))
    catalogue = spark.createDataFrame([(item,) for item in items], "item_id string")
    table = accuracy(rankings, targets_by_slice(splits, min_rating)).unionByName(coverage(rankings, catalogue))
    found = {(r["model"], r["slice"], r["metric"]): (r["value"], r["n_users"]) for r in table.collect()}
    wanted = expected(rows, lists, items, min_rating)
    assert found.keys() == wanted.keys()
    for key, (value, users) in wanted.items():
        assert found[key][0] == pytest.approx(value, abs=1e-12), key
        assert found[key][1] == users, key


def test_a_perfect_list_scores_one_and_a_user_without_a_list_zero(spark):
    rows = [(u, "i1", WHEN, None, 1.0, "test") for u in ("listed", "unlisted")]
    splits = spark.createDataFrame(rows, table_schema("splits"))
    rankings = spark.createDataFrame([("m", "listed", 1, "i1")], table_schema("offline_rankings"))
    means = {
        r["metric"]: r["value"]
        for r in accuracy(rankings, targets_by_slice(splits, None)).where("slice = 'all'").collect()
    }
    assert means == {"ndcg@10": 0.5, "recall@20": 0.5}


def test_evaluating_a_night_again_publishes_the_same(shop):
    def rank(task, spark):
        stage = task.stage("offline_rankings")
        rows = [("ranker", "u2", 1, "i3"), ("ease", "u2", 1, "i2"), ("ease", "u2", 2, "i3")]
        write_stage(spark.createDataFrame(rows, table_schema("offline_rankings")), stage)
        task.publish(stage)

    shop.settings["evaluation"] = {"validation_share": 0.25, "test_share": 0.25}
    shop.ingest()
    shop.features()
    shop.run("ranking", rank)
    shop.run("evaluation", evaluate)
    first = shop.record("evaluation")["outputs"]["evaluations"]
    shop.run("evaluation", evaluate)
    again = shop.record("evaluation")["outputs"]["evaluations"]
    found = {
        r["model"]: r["value"] for r in shop.table("evaluations") if (r["metric"], r["slice"]) == ("ndcg@10", "all")
    }
    assert found == {"ranker": 1.0, "ease": pytest.approx(1 / np.log2(3))}
    assert (first["changed"], again["changed"], again["version"]) == (True, False, first["version"])
