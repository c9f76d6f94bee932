"""Clicks become interactions once, with their weight, and only where the log does not tell them already."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs.feedback_events import with_feedback
from jobs.frames import table_schema

pytestmark = pytest.mark.spark
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
WEIGHTS = {"click": 0.5, "conversion": 1.0}


def said(user, item, hours, kind):
    return (user, item, START + timedelta(hours=hours), kind, None, None, None)


def test_what_was_taken_in_a_list_is_an_interaction_unless_the_log_has_it(spark):
    log = [("a", "i1", START, 5.0, 1.0)]
    columns = "user_id string, item_id string, timestamp timestamp, rating double, weight double"
    feedback = [
        said("a", "i1", 3, "click"),  # in the log on that day
        said("a", "i1", 30, "click"),  # on another day
        said("a", "i2", 5, "conversion"),
        said("a", "i2", 2, "click"),  # of one day the strongest, at the first time
        said("b", "i3", 1, "impression"),
        said("b", "i4", 1, "hide_item"),
    ]
    frames = spark.createDataFrame(log, columns), spark.createDataFrame(feedback, table_schema("feedback"))
    found = {
        (r["user_id"], r["item_id"], r["timestamp"].astimezone(UTC)): r
        for r in with_feedback(*frames, WEIGHTS).collect()
    }
    assert set(found) == {
        ("a", "i1", START),
        ("a", "i1", START + timedelta(hours=30)),
        ("a", "i2", START + timedelta(hours=2)),
    }
    assert [row["weight"] for _, row in sorted(found.items())] == [1.0, 0.5, 1.0]
    assert with_feedback(*frames, {}).count() == 1


def test_what_was_taken_where_few_look_counts_for_those_who_did_not_look(spark):
    columns = "user_id string, item_id string, timestamp timestamp, rating double, weight double"
    said_at = [(f"u{place}", "i", START, "click", None, place, None) for place in (1, 2, 9)]
    feedback = spark.createDataFrame([*said_at, said("u", "i", 0, "click")], table_schema("feedback"))
    found = with_feedback(spark.createDataFrame([], columns), feedback, WEIGHTS, {1: 1.0, 2: 0.25})
    assert {row["user_id"]: row["weight"] for row in found.collect()} == {"u1": 0.5, "u2": 2.0, "u9": 0.5, "u": 0.5}


def test_clicks_of_the_past_reach_histories_counts_and_the_split(shop):
    shop.events(["u1,i1,2026-11-01T00:00:00Z,5", "u1,i2,2026-11-02T00:00:00Z,4", "u2,i1,2026-11-03T00:00:00Z,4"])
    shop.items(["i1,One,x,", "i2,Two,x,", "i3,Three,y,"])
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t", "kind": "k"}
    shop.source["feedback"] = {"format": "csv", "path": f"{shop.folder}/feedback.csv", "columns": columns}
    lines = ["u,i,t,k", "u1,i3,2026-11-20T08:00:00Z,click", "u2,i3,2026-11-22T00:00:00Z,click"]
    shop.write("feedback.csv", "\n".join(lines) + "\n")
    shop.ingest()
    shop.features()
    histories = {row["user_id"]: [one["item_id"] for one in row["items"]] for row in shop.table("user_histories")}
    assert histories == {"u1": ["i3", "i2", "i1"], "u2": ["i1"]}
    assert {row["item_id"]: row["n_interactions"] for row in shop.table("item_statistics")} == {
        "i1": 2,
        "i2": 1,
        "i3": 1,
    }
    assert len(shop.table("splits")) == 4
