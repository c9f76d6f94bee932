"""A window knows what came before it, and its targets are what came in it and was new."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_log import (
    AS_OF,
    N_ITEMS,
    START,
    Event,
    any_event,
    events,
    item_id,
    items_table,
    log_of,
    splits_table,
    user_id,
)

from ray_tasks.interactions import windows
from ray_tasks.interactions.windows import SPLITS, WINDOWS, Log, window
from schemas.errors import LakeError


def ids(window_or_log, rows):
    """Item ids of each row of a window, by user id."""
    names = (window_or_log.log if hasattr(window_or_log, "log") else window_or_log).item_ids
    return {user: names[rows[n]].tolist() for n, user in enumerate(window_or_log.user_ids)}


def latest_first(known):
    """Distinct items of some events, by the last time each was taken, ties by id."""
    last = {}
    for event in known:
        last[event.item] = max(last.get(event.item, -1), event.hour)
    return [item_id(item) for item in sorted(last, key=lambda item: (-last[item], item))]


@settings(deadline=None)
@given(events(), st.sampled_from(["validation", "test"]), st.sampled_from([1, 3, windows.AT_ONCE]))
def test_histories_are_what_was_before_and_targets_what_was_new_in_it(drawn, name, at_once):
    with patch.object(windows, "AT_ONCE", at_once):
        found = window(log_of(drawn), name)
    known, future = SPLITS[: WINDOWS[name]], SPLITS[WINDOWS[name]]
    history = {e.user: latest_first([o for o in drawn if o.user == e.user and o.split in known]) for e in drawn}
    targets = {
        user_id(user): sorted({item_id(e.item) for e in drawn if e.user == user and e.split == future} - set(items))
        for user, items in history.items()
    }
    targets = {user: items for user, items in targets.items() if items}
    assert ids(found, found.targets) == targets
    assert ids(found, found.history) == {user_id(u): h for u, h in history.items() if user_id(u) in targets}
    assert found.user_ids.tolist() == sorted(targets)


@settings(deadline=None)
@given(events(), st.sets(st.integers(0, 9)))
def test_serving_knows_everything_and_serves_whom_it_is_told(drawn, served):
    found = window(log_of(drawn), "serving", np.array([user_id(u) for u in sorted(served)], dtype=object))
    users = sorted(served)  # also those whom the log does not know
    assert ids(found, found.history) == {user_id(u): latest_first([e for e in drawn if e.user == u]) for u in users}
    assert found.targets is None


@settings(deadline=None)
@given(events(), st.lists(any_event(1_000, 2_000)), st.data())
def test_events_at_or_after_as_of_and_the_order_of_rows_mean_nothing(drawn, future, data):
    log, other = log_of(drawn), log_of(data.draw(st.permutations(drawn + future)))
    assert log.user_ids.tolist() == other.user_ids.tolist()
    assert ids(log, log.histories()) == ids(other, other.histories())
    assert log.end == other.end <= AS_OF.timestamp() * 1e6


@settings(deadline=None)
@given(events(), st.randoms(use_true_random=False))
def test_histories_do_not_ask_for_an_order_of_events(drawn, chance):
    log = log_of(drawn)
    order = np.array(chance.sample(range(len(log.user)), len(log.user)), dtype=int)
    mixed = replace(log, user=log.user[order], item=log.item[order], time=log.time[order])
    assert ids(log, mixed.histories()) == ids(log, log.histories())


def test_an_event_just_before_as_of_is_known_and_one_at_it_is_not():
    log = log_of([Event(0, 0, 999.999, "train"), Event(0, 1, 1_000, "train")])
    assert ids(log, log.histories()) == {"u00": ["i00"]}


def test_a_poorly_rated_event_is_history_but_no_target():
    rated = [
        Event(0, 0, 0, "train", 1.0),
        Event(0, 1, 5, "validation", 2.0),
        Event(0, 2, 6, "validation", 3.0),
        Event(0, 3, 7, "validation", None),
        Event(0, 4, 9, "test", 5.0),
    ]
    log = log_of(rated, min_rating=3)
    assert ids(*targets_of(log, "validation")) == {"u00": ["i02", "i03"]}
    assert ids(window(log, "test"), window(log, "test").history) == {"u00": ["i03", "i02", "i01", "i00"]}
    assert ids(*targets_of(log_of(rated), "validation")) == {"u00": ["i01", "i02", "i03"]}


def targets_of(log, name):
    found = window(log, name)
    return found, found.targets


def test_a_pair_whose_number_is_beyond_32_bits_is_told_from_others():
    many = np.array([f"{n:06d}" for n in range(70_000)], dtype=object)  # 70,000 times 70,000 pairs
    user, item = np.array([0, 61_356, 61_356], dtype=np.int32), np.array([0, 47_296, 69_999], dtype=np.int32)
    log = Log(many, many, user, item, np.arange(3), np.array([0, 1, 1], dtype=np.int8), np.ones(3, dtype=bool))
    assert 61_356 * 70_000 + 47_296 == 2**32 + 0 * 70_000 + 0
    assert ids(*targets_of(log, "validation")) == {"061356": ["047296", "069999"]}


def test_a_user_without_a_past_is_served_with_an_empty_history():
    found = window(log_of([Event(0, 0, 0, "train"), Event(1, 0, 5, "validation")]), "validation")
    assert ids(found, found.history) == {"u01": []}


def test_an_event_with_an_unknown_item_is_refused():
    with pytest.raises(LakeError, match="1 rows of splits name items"):
        log_of([Event(0, N_ITEMS, 0, "train"), Event(0, 0, 0, "train")])


def test_the_clock_of_the_tables_is_utc_microseconds():
    assert splits_table([Event(0, 0, 0, "train")])["timestamp"][0].as_py() == START
    assert log_of([Event(0, 0, 0, "train")]).time.tolist() == [int(START.timestamp()) * 1_000_000]
    assert items_table().num_rows == N_ITEMS
