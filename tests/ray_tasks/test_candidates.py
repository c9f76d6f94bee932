"""Candidate rows: no look ahead, nothing seen, dense ranks, popularity for the new; and reading them back."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_log import (
    N_ITEMS,
    TUNED,
    Event,
    any_event,
    events,
    item_id,
    log_of,
    random_vectors,
    scoring,
    texts_of,
    tune_all,
    user_id,
)

from ray_tasks.candidates import incumbents, settings_digest
from ray_tasks.interactions.metrics import beats
from ray_tasks.interactions.windows import DAY, SPLITS, WINDOWS, window
from ray_tasks.ranker.candidate_files import CandidateFiles
from ray_tasks.retrieval.candidate_blocks import Users
from ray_tasks.retrieval.factory import SourceFactory
from ray_tasks.retrieval.popularity import SAME_FOR_ALL
from ray_tasks.retrieval.side_by_side import trials_of
from ray_tasks.retrieval.tuning import is_of, quality
from schemas.candidates_config import Candidates
from schemas.config import freeze
from schemas.lake import Snapshot
from schemas.night import night_task, save_config
from schemas.tables.candidates import CANDIDATES

FEW = Candidates(
    popularity_days=(1, 7, 1_000),
    ease_l2=(1, 30),
    item_item_neighbours=(2, 8),
    item_item_shrinkage=(0, 10),
    transition_steps=(1, 3),
    history_half_life=(0, 2),
)
EVERYONE = np.array([user_id(n) for n in range(10)], dtype=object)


def scorer_and_users(drawn, name, settings_=FEW):
    log, vectors = log_of(drawn), random_vectors()
    return scoring(log, name, served=EVERYONE, vectors=vectors, tuned=TUNED, settings=settings_)


def candidates(drawn, name, settings_=FEW, per_source=None):
    scorer, users = scorer_and_users(drawn, name, settings_)
    if per_source:
        scorer = type(scorer)(scorer.window, scorer.sources, scorer.item_ids, scorer.features, per_source)
    return scorer.table(users)


def before_and_after(drawn, name):
    """Events that a window knows, and the hour from which others may be invented."""
    known = [e for e in drawn if e.split in SPLITS[: WINDOWS[name]]]
    return known, max(int(e.hour) for e in known)


def by_user(table):
    found = {}
    for row in table.to_pylist():
        found.setdefault(row.pop("user_id"), []).append({key: row[key] for key in row if key != "label"})
    return found


@settings(deadline=None, max_examples=60)
@given(st.data(), events(), st.sampled_from(["validation", "test"]))
def test_another_future_changes_no_candidate_score_or_feature(data, drawn, name):
    known, start = before_and_after(drawn, name)
    future = data.draw(st.lists(any_event(start, 3_000, SPLITS[WINDOWS[name] :]), min_size=1, max_size=20))
    one, changed, more = (by_user(candidates(world, name)) for world in (drawn, known + future, drawn + future))
    assert one.keys() <= more.keys()
    for user in more:
        assert one.get(user, more[user]) == changed.get(user, more[user]) == more[user]


@settings(deadline=None, max_examples=40)
@given(data=st.data(), drawn=events(), name=st.sampled_from(["validation", "test"]))
def test_another_future_changes_no_fitted_source(data, drawn, name):
    known, start = before_and_after(drawn, name)
    future = data.draw(st.lists(any_event(start, 3_000, SPLITS[WINDOWS[name] :]), min_size=1, max_size=20))
    # All sources score the same histories, so that worlds with other users can be compared.
    histories = log_of(known).histories()
    one, other = (scorer_and_users(world, name)[0] for world in (drawn, known + future))
    for source in TUNED:
        scores = [scorer.sources[source].score(histories) for scorer in (one, other)]
        assert np.array_equal(*scores, equal_nan=True)


@settings(deadline=None, max_examples=40)
@given(events(), st.lists(any_event(1_000, 3_000), min_size=1, max_size=20))
def test_events_at_or_after_as_of_change_nothing_in_any_window(drawn, future):
    for name in WINDOWS:
        assert candidates(drawn, name).equals(candidates(drawn + future, name))


@settings(deadline=None, max_examples=15)
@given(st.data(), events(least=3))
def test_parameters_are_tuned_without_the_test_window(data, drawn):
    _, start = before_and_after(drawn, "test")
    known = [e for e in drawn if e.split != "test"]
    future = data.draw(st.lists(any_event(start, 3_000, ("test",)), min_size=1, max_size=20))
    one, other = (tune_all(log_of(world), random_vectors(), FEW, seed=1) for world in (drawn, known + future))
    assert one == other


def test_the_validation_window_does_decide_the_parameters():
    train = [Event(u, i, 10 * u + i, "train") for u in range(6) for i in range(4)]
    late = [Event(u, 4, 200, "train") for u in range(6, 9)]
    old, new = ([Event(9, item, 300, "validation")] for item in (3, 4))
    days = [tune_all(log_of(train + late + v), random_vectors(), FEW, 1)["popularity"].parameters for v in (old, new)]
    assert days == [{"days": 7.0}, {"days": 1.0}]


@settings(deadline=None, max_examples=25)
@given(st.data(), events(least=3))
def test_what_an_earlier_night_chose_stays_unless_it_is_beaten_by_more_than_noise(data, drawn):
    view = window(log_of(drawn), "validation")
    factory = SourceFactory(view.log, texts_of(random_vectors()), FEW, 1)
    for trial in trials_of(view, factory):
        earlier = {key: float(data.draw(st.sampled_from(values))) for key, values in trial.grid.items()}
        best, found = (one.run(factory).parameters for one in (trial, replace(trial, incumbent=earlier)))
        of_best, of_earlier = (quality(factory.fit(trial.source, one), trial.users, 100) for one in (best, earlier))
        assert found == (best if beats(of_best, of_earlier) else earlier)


def test_what_an_earlier_night_chose_is_no_choice_where_the_grid_has_changed():
    assert is_of({"l2": 7, "half_life": 2}, {"l2": (1, 30), "half_life": (2,)})  # the search goes on beyond an edge
    assert not is_of({"l2": 7, "half_life": 0}, {"l2": (1, 30), "half_life": (2,)})
    assert not is_of({"l2": 7}, {"l2": (1, 30), "half_life": (0, 2)})
    assert not is_of({"l2": 7, "steps": 2}, {"l2": (1, 30)})


def test_what_an_earlier_night_chose_counts_where_tonight_chooses_from_the_same(tmp_path, monkeypatch):
    tuned = {"ease": {"l2": 30.0, "half_life": 0.0}}
    with night_task("candidates", save_config(frozen(tmp_path, "earlier"))) as task:
        task.counters.update({"tuned": tuned, "tuned_by": settings_digest(task.config)})
    for newest, changes, expected in (
        ("earlier", {}, tuned),
        ("earlier", {"ease_l2": (1, 30)}, {}),
        ("another", {}, {}),
        (None, {}, {}),
    ):
        manifest = SimpleNamespace(run_id=newest) if newest else None
        monkeypatch.setattr("schemas.repeat.newest_manifest", lambda lake, night, found=manifest: found)
        with night_task("candidates", save_config(frozen(tmp_path, "tonight", **changes))) as task:
            assert incumbents(task) == expected


def frozen(folder, run_id, **settings_):
    table = {"format": "csv", "path": "/x"}
    source = {
        "name": "small",
        "interactions": {**table, "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
        "items": {**table, "columns": {"item_id": "i", "title": "t"}},
    }
    stores = {"lake": f"{folder}/lake", "mlflow_tracking_uri": "unused"}
    fake = {"backend": "fake", "path": "unused"}
    document = {"source": source, "candidates": settings_, "generator": fake, "encoder": fake}
    return freeze(document, run_id=run_id, run_date=date(2026, 11, 22), **stores)


@settings(deadline=None, max_examples=60)
@given(events(), st.sampled_from(list(WINDOWS)), st.integers(1, N_ITEMS))
def test_lists_hold_each_sources_best_unseen_items_in_dense_ranks(drawn, name, per_source):
    table = candidates(drawn, name, per_source=per_source)
    scorer, users = scorer_and_users(drawn, name)
    assert (table.schema.names, table.schema.types) == (CANDIDATES.schema.names, CANDIDATES.schema.types)
    keys = list(zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))
    assert keys == sorted(set(keys))
    scores = {source: scorer.sources[source].score(users.history) for source in TUNED}
    for number, user in enumerate(users.user_ids):
        own = {row["item_id"]: row for row in table.to_pylist() if row["user_id"] == user}
        seen = set(scorer.item_ids[users.history[number]])
        assert not own.keys() & seen
        proposed = set()
        for source in TUNED:
            known = dict(zip(scorer.item_ids, scores[source][number].tolist(), strict=True))
            unseen = {item: score for item, score in known.items() if item not in seen}
            best = sorted((n for n in unseen if unseen[n] > 0), key=lambda n: (-unseen[n], n))[:per_source]
            ranks = {item: row[f"{source}_rank"] for item, row in own.items() if row[f"{source}_rank"]}
            assert ranks == {item: place for place, item in enumerate(best, 1)}
            for item, row in own.items():
                score = row[f"{source}_score"]
                assert np.isnan(unseen[item]) if score is None else score == unseen[item]
            proposed |= set(best)
        assert own.keys() == proposed


def test_equal_scores_are_ranked_by_item_id():
    taken = [Event(u, item, 10, "train") for u in range(3) for item in (6, 2, 4)]
    table = candidates([*taken, Event(5, 0, 10, "train")], "serving").to_pylist()
    new = {
        row["item_id"]: row["popularity_rank"] for row in table if row["user_id"] == "u05" and row["popularity_rank"]
    }
    assert new == {"i02": 1, "i04": 2, "i06": 3}


@settings(deadline=None, max_examples=40)
@given(events())
def test_a_user_without_history_gets_popularity_and_nothing_else(drawn):
    newcomer = Event(7, 0, 999, "validation")
    rows = [row for row in candidates([*drawn, newcomer], "validation").to_pylist() if row["user_id"] == user_id(7)]
    train = [e for e in drawn if e.split == "train"]
    latest = max(e.hour for e in train)
    recent = {n: sum(e.item == n and e.hour > latest - 24 * 7 for e in train) for n in range(N_ITEMS)}
    total = {n: sum(e.item == n for e in train) for n in range(N_ITEMS)}
    order = sorted((n for n in total if total[n]), key=lambda n: (-recent[n], -total[n], n))
    assert [r["item_id"] for r in sorted(rows, key=lambda r: r["popularity_rank"])] == [item_id(n) for n in order]
    for row in rows:
        assert (row["user_count"], row["user_idle_days"]) == (0, None)
        assert all(
            row[f"{source}_{kind}"] is None
            for source in TUNED
            if source not in SAME_FOR_ALL
            for kind in ("score", "rank")
        )


@settings(deadline=None, max_examples=40)
@given(events(), st.sampled_from(list(WINDOWS)))
def test_features_count_and_date_what_the_window_knows(drawn, name):
    known, _ = before_and_after(drawn, name)
    end = max(e.hour for e in known)
    for row in candidates(drawn, name).to_pylist():
        mine = [e.hour for e in known if user_id(e.user) == row["user_id"]]
        item = [e.hour for e in known if item_id(e.item) == row["item_id"]]
        assert row["user_count"] == len({e.item for e in known if user_id(e.user) == row["user_id"]})
        assert row["item_count"] == len(item)
        assert row["item_recent_count"] == sum(hour > end - 24 * 30 for hour in item)
        assert row["item_week_count"] == sum(hour > end - 24 * 7 for hour in item)
        days = {"user_idle_days": mine and end - max(mine), "item_idle_days": item and end - max(item)}
        days["item_age_days"] = item and end - min(item)
        for column, hours in days.items():
            assert row[column] == (None if hours == [] else pytest.approx(hours / 24, abs=1e-4))


@settings(deadline=None, max_examples=40)
@given(events(), st.sampled_from(list(WINDOWS)))
def test_a_label_says_whether_the_user_took_the_item_in_the_window(drawn, name):
    took = {(user_id(e.user), item_id(e.item)) for e in drawn if [*SPLITS, None][WINDOWS[name]] == e.split}
    for row in candidates(drawn, name).to_pylist():
        expected = None if name == "serving" else int((row["user_id"], row["item_id"]) in took)
        assert row["label"] == expected


@settings(deadline=None, max_examples=20)
@given(events(), st.sampled_from(list(WINDOWS)), st.integers(1, 4), st.randoms(use_true_random=False))
def test_neither_blocks_nor_the_order_of_events_change_a_row(drawn, name, size, chance):
    scorer, users = scorer_and_users(drawn, name)
    whole = scorer.table(users).to_pylist()
    blocks = [scorer.table(users.part(start, size)) for start in range(0, len(users), size)]
    assert [row["item_id"] for block in blocks for row in block.to_pylist()] == [row["item_id"] for row in whole]
    shuffled = chance.sample(drawn, len(drawn))
    assert candidates(shuffled, name).equals(scorer.table(users))


def test_days_since_the_last_event_are_counted_to_the_end_of_the_log():
    log = log_of([Event(0, 0, 0, "train"), Event(1, 1, 48, "train"), Event(0, 1, 500, "validation")])
    users = Users.of(window(log, "validation"))
    assert users.user_ids.tolist() == ["u00"]
    assert users.idle_days.tolist() == pytest.approx([2 + 1 / DAY])


@pytest.fixture
def stored(tmp_path):
    """Candidates of all windows in files of two users each, and the whole as one table."""
    drawn = [Event(u, (u * k) % N_ITEMS, 100 * k + u, SPLITS[k - 1]) for u in range(10) for k in (1, 2, 3)]
    tables = []
    for name in WINDOWS:
        scorer, users = scorer_and_users(drawn, name)
        tables += [scorer.table(users.part(start, 2)) for start in range(0, len(users), 2)]
    uris = []
    for number, table in enumerate(tables):
        uris.append(str(tmp_path / f"{number:02d}.parquet"))
        pq.write_table(table, uris[-1])
    return Snapshot("candidates", date(2026, 11, 22), 0, tuple(uris)), pa.concat_tables(tables)


@pytest.mark.parametrize("name", list(WINDOWS))
def test_lists_of_some_users_are_read_from_their_files_alone(stored, name):
    snapshot, everything = stored
    files = CandidateFiles.of(snapshot)
    for wanted in (["u03"], ["u00", "u09"], ["u02", "u04", "u05"], ["u99"]):
        mask = pc.and_(pc.equal(everything["window"], name), pc.is_in(everything["user_id"], pa.array(wanted)))
        lists = files.read(name, np.array(wanted, dtype=object))
        key = [("user_id", "ascending"), ("item_id", "ascending")]
        assert lists.table.to_pylist() == everything.filter(mask).sort_by(key).to_pylist()
        assert lists.user_ids.tolist() == sorted(set(lists.table["user_id"].to_pylist()))
    one = [file for file in files.files if file.may_hold(name, "u03", "u03")]
    assert len(one) == 1
