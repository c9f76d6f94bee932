"""Any pair of files becomes a log; protocols cut it so that nobody's future teaches."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.benchmark.data import load
from ray_tasks.benchmark.protocols import by_time, clean_catalogue, leave_last_out
from ray_tasks.interactions.windows import Log, window
from schemas.errors import SourceError

EVENTS = pd.DataFrame(
    {"userId": [2, 1, 1, 2], "movieId": [10, 10, 30, 20], "rating": [5, 4, 3, 2], "timestamp": [300, 100, 200, 300]}
)
ITEMS = pd.DataFrame(
    {
        "movieId": [10, 20],
        "title": ["First", "Second"],
        "genres": ["Drama|War", None],
        "keywords": [json.dumps([{"id": 1, "name": "sea"}, {"id": 2, "name": "ship"}]), ""],
        "imdb_url": ["http://x", "http://y"],
    }
)


@pytest.fixture
def folder(tmp_path):
    EVENTS.to_csv(tmp_path / "ratings.csv", index=False)
    ITEMS.to_parquet(tmp_path / "items.parquet")
    return tmp_path


def test_columns_are_found_and_events_keep_the_order_of_the_file_where_times_tie(folder):
    data = load(folder)
    named = [(data.log.user_ids[u], data.log.item_ids[i]) for u, i in zip(data.log.user, data.log.item, strict=True)]
    assert named == [("1", "10"), ("1", "30"), ("2", "10"), ("2", "20")]
    assert data.log.time.tolist() == [100_000_000, 200_000_000, 300_000_000, 300_000_001]
    assert data.log.item_ids.tolist() == ["10", "20", "30"]  # 30 is in no catalogue, but was taken
    assert data.titles == ("First", "Second", "")
    assert data.documents[0] == "First. Drama, War. sea, ship"
    assert data.categories == (("Drama", "War"), (), ())
    assert load(folder).sha256 == data.sha256


def test_entities_are_read_as_characters_and_what_is_clean_stays(folder):
    titles = ["Soap &amp; &quot;Foam&quot;, Dad&#39;s &amp;lt;", "R&D, copy&paste &unknown; &copy 1"]
    ITEMS.assign(title=titles).to_parquet(folder / "items.parquet")
    data = load(folder)
    assert data.titles[:2] == ('Soap & "Foam", Dad\'s &lt;', titles[1])
    assert data.documents[0].startswith('Soap & "Foam", Dad\'s &lt;. Drama, War')


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000])
def test_seconds_milliseconds_and_microseconds_are_told_apart(folder, unit):
    now = 1_700_000_000
    EVENTS.assign(timestamp=EVENTS["timestamp"] + now).eval(f"timestamp = timestamp * {unit}").to_csv(
        folder / "ratings.csv", index=False
    )
    expected = [(now + s) * 1_000_000 for s in (100, 200, 300, 300)]
    assert load(folder).log.time.tolist() == [*expected[:3], expected[3] + 1]


def test_histories_hold_what_came_at_the_same_time_in_the_order_of_the_file(folder):
    items = [30, 10, 20]  # neither ascending nor descending
    EVENTS.head(3).assign(userId=1, movieId=items, timestamp=[500, 500, 500]).to_csv(
        folder / "ratings.csv", index=False
    )
    log = load(folder).log
    latest_first = log.item_ids[log.histories()[0]].tolist()
    assert latest_first == ["20", "10", "30"]
    assert [log.item_ids[i] for i in window(leave_last_out(log), "test").targets.items] == ["20"]


def test_dates_are_read_as_utc(folder):
    EVENTS.assign(timestamp=["2026-01-02", "2026-01-01", "2026-01-01", "2026-01-03"]).to_csv(
        folder / "ratings.csv", index=False
    )
    assert load(folder).log.time[0] == pd.Timestamp("2026-01-01", tz="UTC").value // 1_000


def test_errors_say_what_was_expected_and_what_was_found(folder, tmp_path):
    EVENTS.rename(columns={"userId": "who"}).to_csv(folder / "ratings.csv", index=False)
    with pytest.raises(SourceError, match=r"no column for user_id.*found who, movieId.*--column user_id="):
        load(folder)
    assert load(folder, columns={"user_id": "who"}).log.user_ids.tolist() == ["1", "2"]
    with pytest.raises(SourceError, match="no folder"):
        load(tmp_path / "absent")
    (folder / "items.parquet").unlink()
    with pytest.raises(SourceError, match=r"items: expected one of items_enriched.parquet.*found ratings.csv"):
        load(folder)
    with pytest.raises(SourceError, match="no such file"):
        load(interactions=folder / "x.parquet", items=folder / "y.parquet")
    EVENTS.assign(timestamp=np.nan).to_parquet(folder / "empty.parquet")
    ITEMS.to_parquet(folder / "items.parquet")
    with pytest.raises(SourceError, match="no row with a user"):
        load(interactions=folder / "empty.parquet", items=folder / "items.parquet")


events = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(0, 20)), min_size=1, max_size=60)


def log_of(drawn):
    user, item, time = (
        np.array(column, dtype=np.int64) for column in zip(*sorted(drawn, key=lambda e: e[2]), strict=True)
    )
    ids = np.array([f"{n}" for n in range(8)], dtype=object)
    return Log(ids[:6], ids, user, item, time, np.zeros(len(user), dtype=np.int64), np.ones(len(user), dtype=bool))


@given(events)
def test_p1_puts_every_event_of_a_split_before_the_next_one(drawn):
    cut = by_time(log_of(drawn))
    assert (np.diff(cut.split) >= 0).all()
    sizes = np.bincount(cut.split, minlength=3)
    assert abs(sizes[1] - len(drawn) / 10) <= 1 >= abs(sizes[2] - len(drawn) / 10)


@given(events)
def test_p2_leaves_out_each_users_last_two_distinct_items(drawn):
    given_ = log_of(drawn)
    cut = leave_last_out(given_)
    for user in range(6):
        in_order = list(dict.fromkeys(given_.item[given_.user == user].tolist()))
        mine = {split: cut.item[(cut.user == user) & (cut.split == split)].tolist() for split in range(3)}
        if len(in_order) < 3:
            assert (sorted(mine[0]), mine[1], mine[2]) == (sorted(in_order), [], [])
        else:
            assert (sorted(mine[0]), mine[1], mine[2]) == (sorted(in_order[:-2]), [in_order[-2]], [in_order[-1]])
    view = window(cut, "test")
    assert all(len(view.targets[row]) == 1 for row in range(len(view.user_ids)))


@given(events)
def test_the_clean_catalogue_counts_what_is_known_only(drawn):
    log = log_of(drawn)
    assert clean_catalogue(log).tolist() == [sum(item == i for _, item, _ in drawn) >= 5 for i in range(8)]
