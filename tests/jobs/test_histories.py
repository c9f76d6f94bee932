"""Histories and splits: order, caps, exact shares, and nothing from the future."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from jobs.frames import numbered, table_schema
from jobs.histories import time_split, user_histories
from schemas.config import Features

pytestmark = pytest.mark.spark
AS_OF = datetime(2026, 11, 22, tzinfo=UTC)


def at(hour):
    return datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=hour)


def interactions(spark, rows):
    typed = [(user, item, at(hour), float(hour), 1.0, None, None) for user, item, hour in rows]
    return spark.createDataFrame(typed, table_schema("interactions"))


def lists(frame, features, length=200):
    rows = user_histories(frame, features.model_copy(update={"history_length": length}), AS_OF).collect()
    return {row["user_id"]: row for row in rows}


def test_a_history_is_most_recent_first_one_entry_per_item_ties_by_id_and_capped(spark):
    frame = interactions(
        spark, [("u", "b", 1), ("u", "c", 5), ("u", "a", 5), ("u", "b", 9), ("u", "d", 2), ("u", "c", 3)]
    )
    row = lists(frame, Features(), length=3)["u"]
    assert [(entry["item_id"], entry["rating"]) for entry in row["items"]] == [("b", 9.0), ("a", 5.0), ("c", 5.0)]
    assert (row["n_items"], row["n_interactions"]) == (4, 6)
    assert row["items"][0]["timestamp"] == at(9).replace(tzinfo=None) or row["items"][0]["timestamp"] == at(9)


def test_only_active_users_and_of_these_the_most_recent_are_served(spark):
    frame = interactions(
        spark,
        [
            ("once", "a", 9),
            ("b", "a", 1),
            ("b", "b", 7),
            ("a", "a", 1),
            ("a", "c", 7),
            ("old", "a", 1),
            ("old", "b", 2),
        ],
    )
    assert set(lists(frame, Features(min_user_interactions=2))) == {"a", "b", "old"}
    assert set(lists(frame, Features(min_user_interactions=2, max_users=2))) == {"a", "b"}
    assert set(lists(frame, Features(min_user_interactions=2, max_users=1))) == {"a"}


def test_the_split_is_by_time_with_exact_shares_and_a_total_order(spark):
    chance = np.random.default_rng(3)
    pairs = {(f"u{chance.integers(30)}", f"i{chance.integers(50)}", int(chance.integers(20))) for _ in range(400)}
    rows = sorted(pairs, key=lambda row: (row[2], row[0], row[1]))
    frame = interactions(spark, [rows[n] for n in chance.permutation(len(rows))]).repartition(5)
    split = {(r["user_id"], r["item_id"], r["rating"]): r["split"] for r in time_split(frame, 0.15, 0.1).collect()}
    test, validation = round(len(rows) * 0.1), round(len(rows) * 0.15)
    train = len(rows) - test - validation
    wanted = ["train"] * train + ["validation"] * validation + ["test"] * test
    assert [split[user, item, float(hour)] for user, item, hour in rows] == wanted


@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.0, 0.5), (0.3, 0.0), (0.4, 0.4), (1.0, 0.0)])
@pytest.mark.parametrize("hours", [1, 24 * 7])
def test_cuts_may_lie_anywhere_in_a_day_or_at_the_end_of_the_log(spark, hours, shares):
    rows = [(f"u{n % 3}", f"i{n}", n * hours % (24 * 30)) for n in range(10)]
    ordered = sorted(rows, key=lambda row: (row[2], row[0], row[1]))
    split = {row["item_id"]: row["split"] for row in time_split(interactions(spark, rows), *shares).collect()}
    test, validation = round(10 * shares[1]), round(10 * shares[0])
    wanted = ["train"] * (10 - test - validation) + ["validation"] * validation + ["test"] * test
    assert [split[item] for _, item, _ in ordered] == wanted


def test_numbers_are_positions_in_the_order_whatever_the_partitions(spark):
    frame = spark.range(1_000).selectExpr("(id * 7919) % 1000 AS n").repartition(7)
    rows = numbered(frame, [frame["n"].desc()], "position").collect()
    assert sorted((row["position"], row["n"]) for row in rows) == [(p, 999 - p) for p in range(1_000)]


def test_an_event_at_as_of_moves_nothing_anywhere_but_the_count_of_late_rows(shop, good_events):
    tables = ("interactions", "items", "user_histories", "splits", "item_documents", "item_statistics")
    shop.ingest()
    shop.features()
    before = {name: shop.table(name) for name in tables}
    shop.events([*good_events, "u1,i4,2026-11-22T00:00:00Z,5", "u9,i1,2026-11-22T00:00:00.000001Z,5"])
    shop.ingest()
    shop.features()
    assert {name: shop.table(name) for name in tables} == before
    assert not any(output["changed"] for output in shop.record("features")["outputs"].values())
    shop.events([*good_events, "u1,i4,2026-11-21T23:59:59.999999Z,5"])
    shop.ingest()
    shop.features()
    assert all(shop.table(name) != before[name] for name in ("user_histories", "splits", "item_statistics"))
