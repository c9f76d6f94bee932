"""Clicks on lists in a drawn order: joined with what was shown on their day, and the truth found in them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jobs.drawn_lists import FEWEST_USERS, earlier_lists, estimated, examination, off_policy_rows, places_seen, seen
from jobs.frames import table_schema
from schemas.lake import Lake
from schemas.stage_files import write_rows
from schemas.tables import TABLES

NIGHT = date(2026, 11, 22)
DAY = NIGHT - timedelta(days=1)


def recommendation(user: str, item: str, rank: int, own: int, challenger: int | None, propensity: float) -> dict:
    about = {"score": 1.0, "probability": None, "arm": "default", "sources": ["ease"]}
    places = {"rank": rank, "ranker_rank": own, "challenger_rank": challenger}
    return {"user_id": user, "item_id": item, "propensity": propensity, **places, **about}


def event(user: str, item: str, rank: int | None, kind: str, day: date = DAY, hour: int = 9) -> tuple:
    when = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    return (user, item, when, kind, None, rank, None)


def publish(lake: Lake, table: str, rows: list[dict], night: date):
    stage = lake.stage(table, night, "try-1")
    write_rows(stage, pa.Table.from_pylist(rows, schema=TABLES[table].schema))
    return lake.publish(stage, lambda table, files: [], {})


def published_night(lake: Lake, night: date, rows: list[dict]) -> None:
    found = publish(lake, "recommendations", rows, night)
    entry = {"table": "recommendations", "version": found.version, "rows": found.rows, "content_hash": "h"}
    row = {"run_id": "r", "sequence": 1, "tables": [entry], "config_hash": "h", "code_version": "0"}
    publish(lake, "runs", [{**row, "published_at": datetime(2026, 11, 22, tzinfo=UTC)}], night)


@pytest.mark.spark
def test_a_place_counts_where_it_was_shown_on_the_lists_day_and_clicks_need_no_place(spark):
    columns = ["user_id", "item_id", "rank", "day", "propensity", "ranker_rank", "challenger_rank"]
    lists = pd.DataFrame(
        [("u", "a", 1, DAY, 0.5, 2, 1), ("u", "b", 2, DAY, 0.5, 1, 2), ("v", "a", 1, DAY, 0.5, 1, 1)], columns=columns
    )
    feedback = [
        event("u", "a", 1, "impression"),
        event("u", "a", 1, "impression", hour=11),  # seen twice, counted once
        event("u", "a", None, "click"),
        event("u", "b", 1, "impression"),  # at another place: another list
        event("u", "b", 2, "impression", DAY - timedelta(days=1)),
        event("v", "a", 1, "impression"),
        event("v", "a", 1, "click", DAY + timedelta(days=1)),
    ]
    found = seen(spark.createDataFrame(lists), spark.createDataFrame(feedback, table_schema("feedback"))).toPandas()
    assert sorted(zip(found["user_id"], found["rank"], found["clicked"], strict=True)) == [("u", 1, 1), ("v", 1, 0)]


@pytest.mark.spark
def test_lists_of_earlier_nights_alone_are_read_and_only_those_that_were_drawn(spark, tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    users = [f"u{n}" for n in range(FEWEST_USERS)]
    own = {
        user: (1, 2) if n % 2 else (2, 1) for n, user in enumerate(users)
    }  # half of the drawn orders are the ranker's
    drawn = [recommendation(u, i, r, own[u][r - 1], r, 0.5) for u in users for r, i in ((1, "a"), (2, "b"))]
    plain = [recommendation(f"plain-{u}", "a", 1, 1, None, 1.0) for u in users]
    feedback = [event(row["user_id"], row["item_id"], row["rank"], "impression") for row in [*drawn, *plain]]
    feedback += [
        event(row["user_id"], row["item_id"], row["rank"], "click") for row in [*drawn, *plain] if row["rank"] == 1
    ]
    task = task_of(lake, feedback)
    assert off_policy_rows(places_seen(spark, task)) == []
    for night in (DAY - timedelta(days=40), DAY, NIGHT):
        published_night(lake, night, [*drawn, *plain])
    assert [snapshot.run_date for snapshot in earlier_lists(lake, NIGHT)] == [DAY]
    rows = {(row["model"], row["metric"]): row for row in off_policy_rows(places_seen(spark, task))}
    assert rows["ranker", "click_rate_logged"]["value"] == 0.5
    assert rows["ranker", "click_rate_snips"]["value"] == pytest.approx(0.5)
    assert rows["ranker", "click_rate_snips"]["n_users"] == FEWEST_USERS
    # First places alone are clicked on, whatever stands there: the challenger's order is the one that was shown.
    assert rows["challenger", "click_rate_snips"]["value"] == pytest.approx(0.5)
    assert rows["challenger", "click_rate_ips"]["value"] == 1.0  # half of the places, each counted twice


def test_nights_without_drawn_lists_or_whose_files_are_gone_are_passed_over(tmp_path, caplog):
    lake = Lake(str(tmp_path / "lake"))
    drawn = recommendation("u", "a", 1, 1, None, 0.5)
    nights = [DAY - timedelta(days=days) for days in (3, 2, 1)]
    for night, rows in zip(nights, ([drawn], [recommendation("u", "a", 1, 1, None, 1.0)], [drawn]), strict=True):
        published_night(lake, night, rows)
    for uri in lake.snapshot("recommendations", nights[0]).uris:
        Path(uri.removeprefix("file://")).unlink()
    assert [snapshot.run_date for snapshot in earlier_lists(lake, NIGHT)] == [nights[2]]
    (warning,) = caplog.records
    assert str(nights[0]) in warning.getMessage()


def task_of(lake: Lake, feedback: list[tuple]) -> SimpleNamespace:
    """What the jobs ask of a task: the night's feedback, and the lake."""
    names = TABLES["feedback"].schema.names
    publish(lake, "feedback", [dict(zip(names, row, strict=True)) for row in feedback], NIGHT)
    snapshot = lake.snapshot("feedback", NIGHT)
    return SimpleNamespace(lake=lake, config=SimpleNamespace(night=NIGHT), read=lambda table: snapshot)


def places_of(users: int, seed: int) -> tuple[pd.DataFrame, float, float]:
    """Drawn lists of four items; the click rates of the ranker's order and of the challenger's, by truth."""
    chance = np.random.default_rng(seed)
    liking = np.array([0.8, 0.6, 0.3, 0.1])  # by the ranker's rank
    looked = np.array([1.0, 0.6, 0.4, 0.3])
    order = np.array([chance.permutation(4) for _ in range(users)])
    clicked = chance.random((users, 4)) < liking[order] * looked
    frame = pd.DataFrame(
        {
            "user_id": np.repeat([f"u{n}" for n in range(users)], 4),
            "rank": np.tile(np.arange(1, 5), users),
            "propensity": 0.25,
            "ranker_rank": order.ravel() + 1,
            "challenger_rank": 4 - order.ravel(),  # the other way round
            "clicked": clicked.ravel().astype(int),
        }
    )
    return frame, float((liking * looked).mean()), float((liking[::-1] * looked).mean())


def test_intervals_hold_what_each_order_truly_earns_as_often_as_they_say():
    covered = {"ranker": 0, "challenger": 0}
    for seed in range(60):
        frame, *truths = places_of(400, seed)
        for (model, column), truth in zip(
            (("ranker", "ranker_rank"), ("challenger", "challenger_rank")), truths, strict=True
        ):
            found = {row["metric"]: row for row in estimated(frame, model, column)}
            covered[model] += found["click_rate_dr"]["low"] <= truth <= found["click_rate_dr"]["high"]
            assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in found.values())
    assert min(covered.values()) >= 51  # 95% of 60 is 57, less or more by chance


def test_few_users_tell_nothing():
    frame, *_ = places_of(FEWEST_USERS - 1, 0)
    assert list(estimated(frame, "ranker", "ranker_rank")) == []


def test_how_often_places_are_looked_at_is_found_whatever_stands_there():
    frame, *_ = places_of(20_000, 5)
    told = examination(frame)
    assert told[1] == 1.0
    assert list(told.values()) == sorted(told.values(), reverse=True)
    assert [told[place] for place in (2, 3, 4)] == pytest.approx([0.6, 0.4, 0.3], abs=0.03)


def test_few_users_or_no_click_say_nothing_of_places():
    frame, *_ = places_of(FEWEST_USERS - 1, 0)
    assert examination(frame) == {}
    frame, *_ = places_of(FEWEST_USERS, 0)
    assert examination(frame.assign(clicked=0)) == {}
