"""How the benchmark judges lists, fills them and compares models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_log import Event, log_of

from ray_tasks.benchmark.blend import filled, popular_lists, rank_alone, restrict
from ray_tasks.benchmark.judge import Judge, calibration_error, holm, lift, of_items
from ray_tasks.interactions.metrics import mrr
from ray_tasks.interactions.rows import Rows
from ray_tasks.interactions.windows import window
from ray_tasks.retrieval.popularity import RecentPopularity, fading_counts
from ray_tasks.statistics import draws
from schemas.candidates_config import Candidates

EVENTS = [Event(u, i, 10 * u + i, "train") for u in range(4) for i in range(u, 5)]
EVENTS += [Event(0, 5, 100, "test"), Event(2, 1, 101, "test"), Event(7, 0, 102, "test"), Event(7, 6, 103, "test")]


def ranked_of(*lists):
    return np.array([list(one) + [-1] * (20 - len(one)) for one in lists], dtype=np.int64)


def test_reciprocal_rank_is_of_the_first_hit():
    targets = Rows.of(np.array([0, 0, 1]), np.array([3, 4, 1]), 3)
    assert mrr(np.array([[1, 4, 3], [0, 2, -1], [5, 6, 7]]), targets).tolist() == [0.5, 0, 0]


def test_metrics_and_slices_of_lists_made_by_hand():
    view = window(log_of(EVENTS), "test")
    vectors = np.eye(8, dtype=np.float32)
    judge = Judge(view, vectors)
    perfect = judge.metrics(ranked_of([5], [1], [0, 6]))
    assert (perfect["ndcg@10"], perfect["recall@20"], perfect["mrr@20"]) == (1, 1, 1)
    assert perfect["coverage@10"] == 4 / 8
    assert perfect["diversity@10"] == 1
    worst = judge.metrics(ranked_of([6], [6], [5]))
    assert (worst["ndcg@10"], worst["recall@20"], worst["mrr@20"]) == (0, 0, 0)
    assert judge.metrics(ranked_of([4], [4], [4]))["novelty@10"] < perfect["novelty@10"]
    slices = judge.slices(ranked_of([5], [6], [0, 6]))
    assert slices["new users"] == {"users": 1, "ndcg@10": 1}
    assert slices["warm users"] == {"users": 2, "ndcg@10": 0.5}
    assert slices["new items"] == {"users": 2, "recall@20": 1}
    assert slices["warm items"] == {"users": 2, "recall@20": 0.5}


def test_users_are_told_apart_by_their_attributes_and_large_groups_are_compared():
    events = [Event(u, 0, u, "train") for u in range(95)] + [Event(u, 1 + u % 2, 200 + u, "test") for u in range(95)]
    view = window(log_of(events), "test")
    labels = np.array([("F", "M")[u % 2] for u in range(90)] + ["X"] * 4 + [""], dtype=object)
    one = np.array(["all"] * 95, dtype=object)
    judge = Judge(view, np.eye(8, dtype=np.float32), attributes={"gender": labels, "same": one})
    # Everybody is offered item 1: right for users of even numbers.
    ranked = ranked_of(*([1] for _ in range(95)))
    slices = judge.slices(ranked)
    assert slices["gender=F"] == {"users": 45, "ndcg@10": 1}
    assert slices["gender=M"] == {"users": 45, "ndcg@10": 0}
    assert slices["gender=X"] == {"users": 4, "ndcg@10": 0.5}
    assert "gender=" not in slices
    found = judge.fairness(ranked, seed=1)
    assert set(found) == {"gender"}
    assert (found["gender"]["best"], found["gender"]["worst"], found["gender"]["groups"]) == ("F", "M", 2)
    assert found["gender"]["difference"] == {"value": 1, "low": 1, "high": 1}
    alike = judge.fairness(ranked_of(*([1, 2] if u < 45 else [2, 1] for u in range(95))), seed=1)["gender"]
    assert alike["difference"]["low"] < 0 < alike["difference"]["high"]
    assert Judge(view, np.eye(8, dtype=np.float32)).fairness(ranked, seed=1) == {}


def test_a_restricted_window_has_no_target_outside_the_catalogue():
    view = window(log_of(EVENTS), "test")
    allowed = np.arange(8) < 5
    inside = restrict(view, allowed)
    assert inside.user_ids.tolist() == ["u02", "u07"]
    assert [inside.targets[row].tolist() for row in range(2)] == [[1], [0]]
    assert restrict(view, None) is view
    popularity = RecentPopularity.fit(view.log, None)
    ranked = rank_alone(popularity, inside, Candidates(block_size=1), allowed)
    assert [row[row >= 0].tolist() for row in ranked] == [[1, 0], [3, 4, 2, 1, 0]]
    assert popular_lists(inside, popularity, allowed)[:, :2].tolist() == [[1, 0], [3, 4]]


@given(st.lists(st.integers(0, 9), max_size=4, unique=True), st.permutations(range(10)))
def test_empty_places_get_popular_items_in_order_and_nothing_twice(own, popular):
    found = filled(np.array([own + [-1] * (6 - len(own))]), np.array([popular]))[0]
    assert found[: len(own)].tolist() == own
    assert found[len(own) :].tolist() == [item for item in popular if item not in own][: 6 - len(own)]


def test_a_lift_is_the_ratio_of_means_and_its_interval_knows_that_users_are_the_same():
    chance = np.random.default_rng(2)
    base = chance.random(400)
    found = lift(base * 1.1, base, draws(len(base), 1))
    assert found["lift"] == pytest.approx(0.1)
    assert found["ci"] == pytest.approx([0.1, 0.1])
    assert found["p"] < 0.01
    nothing = lift(chance.permutation(base), base, draws(len(base), 1))
    assert nothing["ci"][0] < 0 < nothing["ci"][1]
    assert nothing["p"] > 0.1


def test_holm_multiplies_the_smallest_by_all_and_never_falls():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1, "a": 1}


def test_calibration_error_is_0_for_true_chances_and_large_for_false_ones():
    taken = np.tile([1.0, 0, 0, 0], 250)
    right, wrong = calibration_error(np.full(1_000, 0.25), taken), calibration_error(np.full(1_000, 0.9), taken)
    assert right["ece"] < 0.03 < 0.6 < wrong["ece"]
    assert right["brier"] == pytest.approx(0.1875)
    assert calibration_error(np.full(3, np.nan), np.zeros(3)) == {}


@given(st.lists(st.booleans(), min_size=8, max_size=8))
def test_targets_split_by_items_are_the_targets(wanted):
    targets = window(log_of(EVENTS), "test").targets
    items = np.array(wanted)
    parts = [of_items(targets, mask) for mask in (items, ~items)]
    for row in range(len(targets)):
        assert sorted([*parts[0][row], *parts[1][row]]) == sorted(targets[row])


def test_a_fading_count_halves_with_every_half_life():
    log = log_of([Event(0, 0, 0, "train"), Event(1, 1, 24, "train"), Event(2, 1, 24, "train")])
    assert fading_counts(log, 1)[:3] == pytest.approx([0.5, 2, 0], rel=1e-6)
