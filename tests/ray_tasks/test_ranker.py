"""The learned ranker: the same trees for a seed, no look ahead, and a gate that leans to the simpler side."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lists import candidate, lists_of, shop
from small_log import AS_OF, Event, item_id, log_of, random_vectors, scoring, tune_all

from ray_tasks.interactions.metrics import beats
from ray_tasks.interactions.rows import Rows
from ray_tasks.ranker import trees
from ray_tasks.ranker.candidate_files import CandidateFiles
from ray_tasks.ranker.features import Lists, fusion
from ray_tasks.ranker.gate import Decision, ServingModel, decide, fit
from ray_tasks.ranker.ranked_lists import recommendations
from ray_tasks.ranker.teaching import validation_lists, validation_users, with_label_weights
from ray_tasks.ranker.trees import FOLDS, Folds, Ranker, Training
from schemas.candidates_config import SOURCES, Candidates
from schemas.lake import Snapshot
from schemas.ranking_config import Ranking
from schemas.tables import TABLES

CATALOGUE = np.array([item_id(n) for n in range(12)], dtype=object)
SMALL = Ranking(trees=25, leaves=4, learning_rate=0.2)


def learned(lists, targets, settings_=SMALL, seed=1):
    return fit(lists, targets, CATALOGUE, settings_, seed).model


def taken_by_week_count(n_users):
    """No source knows the target; the item's count of the week does."""
    return shop(n_users, lambda source: None, lambda user, item, taken: 40 + user % 7 if taken else (user + item) % 30)


def test_trees_learn_what_fusion_does_not_know_and_the_ranker_serves():
    model = learned(*taken_by_week_count(60))
    decision = model.decision
    assert (decision.serving, decision.trees > 0) == ("ranker", True)
    assert decision.ndcg["ranker"] > 0.9 > decision.ndcg["fusion"]
    assert set(decision.ndcg) == {"ranker", "fusion", *SOURCES}
    assert len(model.ranker.models) == FOLDS
    importance = model.ranker.importance()
    assert next(iter(importance)) in ("item_week_count", "trend")
    assert sum(importance.values()) == pytest.approx(1, abs=0.01)
    unknown, _ = shop(80, lambda source: None, lambda user, item, taken: 40 if taken else 3)
    best = recommendations(unknown, model.score(unknown), 1, "default")
    took = [row["item_id"] for row in unknown.table.to_pylist() if row["label"]]
    assert np.mean(np.array(best["item_id"].to_pylist()) == np.array(took)) > 0.9


def test_the_same_lists_and_seed_give_the_same_trees():
    lists, targets = taken_by_week_count(30)
    one, two, other = (learned(lists, targets, seed=seed) for seed in (1, 1, 2))
    assert one.ranker.models == two.ranker.models
    assert one.decision == two.decision
    assert one.ranker.models != other.ranker.models
    assert np.array_equal(one.score(lists), two.score(lists))


def test_a_source_that_is_clearly_better_serves_alone():
    lists, targets = shop(40, lambda source: 1 if source == "text" else 10)
    model = learned(lists, targets, Ranking(trees=0))
    assert (model.decision.serving, model.decision.trees) == ("text", 0)
    assert model.decision.ndcg["text"] == 1
    assert "that source serves" in model.decision.reason
    served = recommendations(lists, model.score(lists), 10, "default").to_pylist()
    ranks = {(row["user_id"], row["item_id"]): row["text_rank"] for row in lists.table.to_pylist()}
    assert all(row["rank"] == ranks[row["user_id"], row["item_id"]] for row in served)


def test_fusion_serves_when_the_sources_agree_on_what_each_puts_second():
    lists, targets = shop(40, lambda source: 2)
    decision = learned(lists, targets, Ranking(trees=0)).decision
    assert (decision.serving, decision.trees) == ("ranker", 0)
    assert decision.ndcg["ranker"] == decision.ndcg["fusion"] > 0.9
    assert all(decision.ndcg[source] == pytest.approx(1 / np.log2(3), abs=1e-6) for source in SOURCES)


def test_too_few_users_to_learn_from_get_fusion_without_trees():
    lists, targets = shop(2 * FOLDS - 1, lambda source: 1)
    model = learned(lists, targets)
    assert (model.ranker, model.decision.serving, model.decision.trees) == (Ranker(), "ranker", 0)
    assert f"only {2 * FOLDS - 1} users" in model.decision.reason
    order = np.argsort(-model.score(lists), kind="stable")
    assert order.tolist() == np.argsort(-fusion(lists), kind="stable").tolist()
    assert model.ranker.importance() == {}
    assert learned(*shop(2 * FOLDS, lambda source: 1)).decision.ndcg
    nobody = learned(Lists.none(), Rows.of(np.zeros(0, dtype=int), np.zeros(0, dtype=int), 0))
    assert nobody.decision.trees == 0


def test_users_who_took_no_candidate_do_not_count_as_learnable():
    lists, targets = shop(2 * FOLDS, lambda source: 1)
    rows = [row | {"label": 0} if row["user_id"] == "u03" else row for row in lists.table.to_pylist()]
    assert learned(lists_of(rows), targets).decision.ndcg == {}


@pytest.mark.parametrize("serving", ["ranker", "ease", "text", "popularity"])
def test_users_without_history_keep_the_order_of_popularity(serving):
    model = learned(*taken_by_week_count(30))
    assert model.ranker.models
    # To the trees, 7 is the best of all: for a user with a history it comes first.
    week = {4: 0, 2: 0, 7: 45}
    places = list(enumerate(week, 1))
    new = [candidate(0, i, {"popularity": r}, user_count=0, item_week_count=week[i]) for r, i in places]
    old = [candidate(1, i, {"ease": r, "text": 4 - r}, item_week_count=week[i]) for r, i in places]
    lists = lists_of(new + old)
    scores = ServingModel(model.ranker, Decision(serving, 25, {}, "")).score(lists)
    ranked = recommendations(lists, scores, 5, "default").to_pylist()
    assert [row["item_id"] for row in ranked if row["user_id"] == "u00"] == ["i04", "i02", "i07"]
    others = {"ranker": "i07", "ease": "i04", "text": "i07"}
    if serving in others:
        assert next(row["item_id"] for row in ranked if row["user_id"] == "u01") == others[serving]


def test_no_user_is_scored_by_trees_that_saw_them():
    lists, _ = taken_by_week_count(20)
    folds = Folds.of(Training.of(lists), SMALL, seed=1)
    assert sorted(np.bincount(folds.fold)) == [4] * FOLDS
    out = folds.out_of_fold(25)
    assert sorted(out) == [0, 1, 3, 10, 25]
    assert np.array_equal(out[0], folds.training.start)
    for number, booster in enumerate(folds.boosters):
        rows = (folds.fold == number)[lists.user_of]
        for trees_, scores in out.items():
            expected = booster.predict(folds.training.values[rows], num_iteration=trees_) if trees_ else 0
            assert np.allclose(scores[rows] - folds.training.start[rows], expected)
    # Labels of a fold's users do not touch the trees that score them.
    flipped = [
        row | {"label": 1 - row["label"]} if folds.fold[int(row["user_id"][1:])] == 0 else row
        for row in lists.table.to_pylist()
    ]
    again = Folds.of(Training.of(lists_of(flipped)), SMALL, seed=1).out_of_fold(25)
    mine = (folds.fold == 0)[lists.user_of]
    assert np.array_equal(out[25][mine], again[25][mine])
    assert not np.array_equal(out[25], again[25])


HALF = np.tile([0.0, 1.0], 50)


def test_a_difference_within_one_standard_error_beats_nothing():
    assert beats(HALF + 0.1, HALF)
    assert not beats(HALF, HALF + 0.1)
    assert not beats(HALF, HALF)
    noisy = HALF.copy()
    noisy[:2] += 1, -0.5  # one user up, one down: 0.005 on average, with a standard error of 0.011
    assert not beats(noisy, HALF)


def test_the_number_of_trees_that_is_best_on_average_serves_and_of_equals_the_fewest():
    nearly = HALF + 0.1
    nearly[:2] += -1, 0.5
    by_trees = {0: HALF, 10: nearly, 100: HALF + 0.1, 200: HALF + 0.1}
    sources = dict.fromkeys(SOURCES, HALF - 0.2)
    found = decide(by_trees, sources, HALF)
    assert (found.serving, found.trees) == ("ranker", 100)
    assert found.ndcg == {"ranker": 0.6, "fusion": 0.5, **dict.fromkeys(SOURCES, 0.3)}


def test_trees_need_not_beat_fusion_by_more_than_noise_but_must_not_be_worse():
    noisy = HALF.copy()
    noisy[:2] += 1, -0.5
    sources = dict.fromkeys(SOURCES, HALF - 0.2)
    assert decide({0: HALF, 10: noisy}, sources, HALF).trees == 10
    assert decide({0: HALF, 10: 1 - noisy}, sources, HALF).trees == 0


@pytest.mark.parametrize(("ahead", "serving"), [(0.2, "text"), (0.0, "ranker"), (-0.2, "ranker")])
def test_the_ranker_serves_unless_the_best_source_beats_it(ahead, serving):
    sources = dict.fromkeys(SOURCES, HALF - 0.5) | {"text": HALF + ahead}
    found = decide({0: HALF}, sources, HALF)
    assert found.serving == serving
    assert f"{0 - ahead:+.4f} against text" in found.reason


@pytest.mark.parametrize("n_users", [1, 2, 10, 1_000, 100_000])
def test_one_user_alone_decides_nothing(n_users):
    other = np.zeros(n_users)
    one = other.copy()
    one[0] = 0.3
    assert not beats(one, other)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0, 1))
def test_two_models_never_beat_each_other(values, shift):
    one, other = np.array(values), np.roll(values, 1) + shift
    assert not (beats(one, other) and beats(other, one))


@pytest.fixture
def trained(tmp_path):
    """Learn from the validation lists of a log, written as the task `candidates` would write them."""
    one = {"ease_l2": (10,), "item_item_neighbours": (5,), "item_item_shrinkage": (0,), "transition_steps": (3,)}
    few = Candidates(**one, history_half_life=(0,))

    def train(drawn, folder):
        log, vectors = log_of(drawn, 30), random_vectors(30)
        tuned = tune_all(log, vectors, few, seed=1)
        uris = []
        for name in ("validation", "test"):
            scorer, users = scoring(log, name, served=None, vectors=vectors, tuned=tuned, settings=few)
            uris.append(str(tmp_path / f"{folder}-{name}.parquet"))
            pq.write_table(scorer.table(users), uris[-1])
        files = CandidateFiles.of(Snapshot("candidates", date(2026, 11, 22), 0, tuple(uris)))
        lists, targets = validation_lists(files, *validation_users(log, 25, seed=1))
        return fit(lists, targets, log.item_ids, Ranking(trees=10, training_users=25), seed=1).model

    return train


def test_the_test_window_teaches_the_ranker_nothing(trained):
    chance = np.random.default_rng(3)

    def of(user):
        liked = [item for item in range(30) if item % 3 == user % 3]
        return chance.permutation(liked).tolist()

    past = [Event(u, i, 10 * n + u, "train") for u in range(40) for n, i in enumerate(of(u)[:5])]
    past += [Event(u, i, 300 + u, "validation") for u in range(40) for i in of(u)[5:8]]
    futures = [[Event(u, (u * k) % 30, 500 + u, "test") for u in range(40)] for k in (1, 7)]
    one, other = (trained(past + future, n) for n, future in enumerate(futures))
    assert one.decision.ndcg
    assert one.ranker.models == other.ranker.models
    assert one.decision == other.decision


@pytest.mark.parametrize("depth", [1, 3, 9])
def test_all_boosters_score_the_best_candidates_and_what_is_below_stays_below(monkeypatch, depth):
    lists, targets = taken_by_week_count(40)
    ranker = learned(lists, targets).ranker
    monkeypatch.setattr(trees, "DEPTHS", (1_000,))
    whole, first = ranker.score(lists), replace(ranker, models=ranker.models[:1]).score(lists)
    monkeypatch.setattr(trees, "DEPTHS", (depth,))
    scores = ranker.score(lists)
    for start, length in zip(lists.starts, lists.lengths, strict=True):
        own = slice(start, start + length)
        exact = first[own] >= np.sort(first[own])[-depth]
        assert np.array_equal(scores[own][exact], whole[own][exact])
        below = scores[own][~exact]
        assert (below < scores[own][exact].min()).all()
        assert (np.diff(below[np.argsort(first[own][~exact], kind="stable")]) >= 0).all()


def test_each_booster_narrows_what_the_next_one_scores(monkeypatch):
    lists, targets = taken_by_week_count(40)
    ranker = learned(lists, targets).ranker
    monkeypatch.setattr(trees, "DEPTHS", (1_000,))
    whole, by_one, by_two = (replace(ranker, models=ranker.models[:n]).score(lists) for n in (None, 1, 2))
    monkeypatch.setattr(trees, "DEPTHS", (9, 5, 3))
    scores = ranker.score(lists)
    for start, length in zip(lists.starts, lists.lengths, strict=True):
        own = slice(start, start + length)
        second = by_one[own] >= np.sort(by_one[own])[-5]
        rough = np.where(second, by_two[own], -np.inf)
        last = rough >= np.sort(rough)[-3]
        assert np.array_equal(scores[own][last], whole[own][last])
        assert scores[own][last].min() > scores[own][second & ~last].max(initial=-np.inf)
        assert scores[own][second].min() > scores[own][~second].max()


def test_a_hit_counts_as_much_as_the_log_weighs_it_and_where_it_weighs_nothing_all_is_as_before():
    lists, _ = taken_by_week_count(30)
    hit = lists.column("label") > 0
    items = lists.table["item_id"].filter(pa.array(hit)).to_pylist()
    taken = zip(lists.user_ids[lists.user_of[hit]], items, strict=True)
    rows = [
        {"user_id": user, "item_id": item, "split": "validation", "weight": 4.0 if number % 2 else 1.0}
        for number, (user, item) in enumerate(taken)
    ]
    weighed = with_label_weights(lists, snapshot_of(rows))
    weights = weighed.column("label_weight")
    assert sorted(set(weights[hit].tolist())) == [1.0, 4.0]
    assert set(weights[~hit].tolist()) == {1.0}
    assert with_label_weights(lists, snapshot_of([{**row, "weight": 1.0} for row in rows])) is lists
    assert with_label_weights(lists, snapshot_of([{**row, "split": "train"} for row in rows])) is lists
    plain, heavy = (Folds.of(Training.of(one), SMALL, seed=1).out_of_fold(25)[25] for one in (lists, weighed))
    assert not np.array_equal(plain, heavy)
    alike = Lists.of(lists.table.append_column("label_weight", pa.array(np.ones(len(hit)))))
    assert np.allclose(Folds.of(Training.of(alike), SMALL, seed=1).out_of_fold(25)[25], plain)


def snapshot_of(rows: list[dict]) -> SimpleNamespace:
    """What is asked of the night's `splits`."""
    whole = [{"timestamp": AS_OF, "rating": None, **row} for row in rows]
    table = pa.Table.from_pylist(whole, schema=TABLES["splits"].schema)
    return SimpleNamespace(dataset=lambda: ds.dataset(table))
