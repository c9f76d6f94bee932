"""Candidate sources against plain references, and the tuning that chooses their parameters."""

from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_log import N_ITEMS, Event, events, log_of, random_vectors

from ray_tasks.interactions.rows import Rows, decay, steady
from ray_tasks.interactions.windows import window
from ray_tasks.retrieval.candidate_blocks import Users
from ray_tasks.retrieval.cooccurrence import Cooccurrence, fit_ease, fit_item_item
from ray_tasks.retrieval.factory import grids
from ray_tasks.retrieval.popularity import RecentPopularity, counts, first_events
from ray_tasks.retrieval.source import SimilaritySource
from ray_tasks.retrieval.text_similarity import TextSimilarity, item_vectors
from ray_tasks.retrieval.transitions import CELLS, fit_transitions
from ray_tasks.retrieval.tuning import beyond, coordinate_search, on_edge, quality, tuning_users
from schemas.candidates_config import SOURCES, Candidates


def ease(together, l2, half_life):
    return SimilaritySource(together.core, fit_ease(together, l2), half_life, together.n_items)


def item_item(together, shrinkage, neighbours, half_life):
    return SimilaritySource(together.core, fit_item_item(together, shrinkage, neighbours), half_life, together.n_items)


def transitions(log, steps, half_life):
    core = Cooccurrence.count(log, N_ITEMS).core
    return SimilaritySource(core, fit_transitions(log.histories(), core, steps), half_life, N_ITEMS)


def matrix(log):
    """Users times items, 1 where a user took an item."""
    taken = np.zeros((len(log.user_ids), len(log.item_ids)))
    taken[log.user, log.item] = 1
    return taken


def plain_ease(taken, l2):
    precision = np.linalg.inv(taken.T @ taken + l2 * np.eye(taken.shape[1]))
    weights = -precision / np.diag(precision)[None, :]
    np.fill_diagonal(weights, 0)
    return weights


def plain_item_item(taken, shrinkage, neighbours):
    """Loops: item i hears from the items most alike to it, ties to the earlier."""
    together = taken.T @ taken
    n = len(together)
    found = np.zeros((n, n))
    for i in range(n):
        alike = {
            j: together[j, i] / (np.sqrt(together[i, i] * together[j, j]) + shrinkage)
            for j in range(n)
            if j != i and together[j, i]
        }
        for j in sorted(alike, key=lambda j: (-steady(np.float32([alike[j]]))[0], j))[:neighbours]:
            found[j, i] = alike[j]
    return found


@pytest.mark.parametrize("users", [10, 1e7])
def test_ease_holds_where_counts_are_large_against_l2(users):
    counts = np.float32(users) * np.array([[1, 0.99, 0.2], [0.99, 1, 0.2], [0.2, 0.2, 1]], dtype=np.float32)
    inverse = np.linalg.inv(counts.astype(np.float64) + np.eye(3))
    weights = fit_ease(Cooccurrence(np.arange(3), counts, 3), l2=1.0)
    assert np.allclose(weights, (inverse / -np.diag(inverse)) * (1 - np.eye(3)), atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(events(), st.sampled_from([0.5, 10.0, 1_000.0]))
def test_ease_is_the_closed_form_over_the_items_that_anybody_took(drawn, l2):
    log = log_of(drawn)
    taken = matrix(log)
    together = Cooccurrence.count(log, N_ITEMS)
    core = np.flatnonzero(taken.sum(axis=0))
    assert together.core.tolist() == core.tolist()
    assert np.array_equal(together.counts, (taken.T @ taken)[np.ix_(core, core)])
    weights = plain_ease(taken[:, core], l2)
    assert np.allclose(fit_ease(together, l2), weights, atol=1e-5)
    scores = ease(together, l2, half_life=0).score(log.histories())
    assert np.allclose(scores[:, core], taken[:, core] @ weights, atol=1e-4)
    assert np.isnan(np.delete(scores, core, axis=1)).all()


@settings(deadline=None, max_examples=60)
@given(events(), st.sampled_from([0.0, 3.0]), st.integers(1, N_ITEMS))
def test_item_item_is_the_shrunken_cosine_of_each_items_nearest(drawn, shrinkage, neighbours):
    log = log_of(drawn)
    together = Cooccurrence.count(log, N_ITEMS)
    expected = plain_item_item(matrix(log)[:, together.core], shrinkage, neighbours)
    found = fit_item_item(together, shrinkage, neighbours, block=3)
    assert np.allclose(found.toarray(), expected, atol=1e-6)


def test_each_item_hears_from_its_own_nearest_not_they_from_it():
    # Item 1 goes with 0 twice and with 2 once: 1 is the nearest of 2, but 2 is not the nearest of 1.
    drawn = [Event(u, item, u, "train") for u, items in enumerate([(0, 1), (0, 1), (1, 2)]) for item in items]
    found = fit_item_item(Cooccurrence.count(log_of(drawn), N_ITEMS), 0, 1)
    best = 2 / 6**0.5
    assert np.allclose(found.toarray(), [[0, best, 0], [best, 0, 1 / 3**0.5], [0, 0, 0]])


def plain_transitions(histories, steps):
    """Loops: each item speaks for what the same user took up to so many steps later."""
    found = np.zeros((N_ITEMS, N_ITEMS))
    for user in range(len(histories)):
        in_time = histories[user][::-1]
        for place, earlier in enumerate(in_time):
            for step, later in enumerate(in_time[place + 1 : place + 1 + steps], 1):
                found[earlier, later] += 1 / step
    return found / np.sqrt(np.maximum(found.sum(axis=1, keepdims=True), 1))


@settings(deadline=None, max_examples=60)
@given(events(), st.integers(1, 9), st.sampled_from([1, 2, 3, 8, CELLS]))
def test_transitions_are_what_users_took_within_so_many_steps(drawn, steps, cells):
    log = log_of(drawn)
    with patch("ray_tasks.retrieval.transitions.CELLS", cells):
        found = fit_transitions(log.histories(), np.arange(N_ITEMS), steps)
    assert np.allclose(found, plain_transitions(log.histories(), steps), rtol=2**-16)  # what `steady` leaves


def test_a_transition_has_a_direction_and_passes_over_items_outside_the_core():
    log = log_of([Event(u, item, hour, "train") for u in range(4) for hour, item in enumerate((2, 7, 5))])
    found = fit_transitions(log.histories(), np.array([2, 5]), steps=2)
    assert found == pytest.approx(np.array([[0, 2 / 2**0.5], [0, 0]]), rel=1e-5)  # two steps apart: half of four users
    assert not fit_transitions(log.histories(), np.array([2, 5]), steps=1).any()


def test_counts_do_not_depend_on_the_block_and_the_core_is_the_items_with_most_users():
    drawn = [Event(user, item, user, "train") for user in range(5) for item in range(7) if item >= user]
    log = log_of(drawn)
    whole, parts, few = Cooccurrence.count(log, 99), Cooccurrence.count(log, 99, block=2), Cooccurrence.count(log, 3)
    assert np.array_equal(whole.counts, parts.counts)
    assert few.core.tolist() == [4, 5, 6]
    assert np.array_equal(few.counts, whole.counts[4:, 4:])


def test_a_history_outside_the_core_gets_no_score_and_no_contribution():
    log = log_of([*(Event(u, i, u, "train") for u in range(3) for i in (0, 1)), Event(3, 5, 9, "train")])
    source = item_item(Cooccurrence.count(log, 2), 0, 2, half_life=1)
    scores = source.score(log.histories())
    assert np.isnan(scores[3]).all()
    assert np.isnan(scores[0, 2:]).all()
    assert source.contributions(np.array([5, 0]), np.array([1, 7])).tolist() == [[0, 0], [0.5, 0]]


def test_an_item_taken_again_counts_its_user_once():
    once = [Event(0, 0, 0, "train"), Event(0, 1, 1, "train"), Event(1, 1, 2, "train")]
    twice = [*once, Event(0, 0, 3, "train")]
    one, two = (Cooccurrence.count(log_of(drawn), 9).counts for drawn in (once, twice))
    assert np.array_equal(one, two)


@settings(deadline=None)
@given(events(), st.sampled_from([1.0, 7.0, 30.0]))
def test_popularity_counts_the_last_days_and_breaks_ties_by_all_time(drawn, days):
    log = log_of(drawn)
    latest = max(e.hour for e in drawn)
    # The window is half open: the log ends a microsecond after its last event.
    recent = [sum(e.item == n and e.hour > latest - 24 * days for e in drawn) for n in range(N_ITEMS)]
    total = [sum(e.item == n for e in drawn) for n in range(N_ITEMS)]
    assert counts(log, days).tolist() == recent
    assert counts(log).tolist() == total
    source = RecentPopularity.fit(log, days)
    expected = sorted(range(N_ITEMS), key=lambda n: (-recent[n], -total[n], n))
    assert np.argsort(-source.popularity, kind="stable").tolist() == expected
    scores = source.score(log.histories())
    assert (scores == source.popularity).all()
    assert len(scores) == len(log.user_ids)


def plain_text_scores(vectors, history, half_life):
    """Cosine with the weighted mean, for a user; None without a text."""
    mean = sum(0.5 ** (place / half_life if half_life else 0) * vectors[item] for place, item in enumerate(history))
    return None if not np.any(mean) else vectors @ (mean / np.linalg.norm(mean))


@settings(deadline=None)
@given(events(), st.sampled_from([0.0, 1.0, 5.0]))
def test_text_is_the_cosine_with_the_weighted_mean_of_the_history(drawn, half_life):
    log = log_of(drawn)
    vectors = random_vectors()
    vectors[[2, 5]] = 0  # two items without a text
    histories = log.histories()
    for user, found in enumerate(TextSimilarity(vectors, half_life).score(histories)):
        expected = plain_text_scores(vectors, histories[user], half_life)
        assert np.isnan(found[[2, 5]]).all()
        if expected is None:
            assert np.isnan(found).all()
        else:
            assert np.allclose(np.delete(found, [2, 5]), np.delete(expected, [2, 5]), atol=1e-4)


def test_item_vectors_are_centred_kinds_side_by_side_of_unit_length():
    rows = [("i02", "profile", [1, 0]), ("i00", "document", [1, 0]), ("i01", "document", [0, 1])]
    columns = dict(zip(("item_id", "kind", "vector"), map(list, zip(*rows, strict=True)), strict=True))
    columns["vector"] = pa.array(columns["vector"], pa.list_(pa.float32()))
    found = item_vectors(pa.table(columns), np.array(["i00", "i01", "i02", "i03"], dtype=object))
    # One profile alone is all that profiles share: nothing is left of it, and i03 has no text at all.
    assert np.allclose(found, [[2**-0.5, -(2**-0.5), 0, 0], [-(2**-0.5), 2**-0.5, 0, 0], [0] * 4, [0] * 4])


def test_without_any_embedding_text_has_nothing_to_say():
    none = pa.table({"item_id": pa.array([], pa.string()), "kind": pa.array([], pa.string()), "vector": pa.array([])})
    vectors = item_vectors(none, np.array(["i00", "i01"], dtype=object))
    assert np.isnan(TextSimilarity(vectors, 0).score(Rows.of(np.array([0]), np.array([1]), 1))).all()


@settings(deadline=None, max_examples=50)
@given(events(), st.sampled_from([0.0, 1.0, 10.0]))
def test_contributions_add_up_to_the_score(drawn, half_life):
    log = log_of(drawn)
    histories, everything = log.histories(), np.arange(N_ITEMS)
    together = Cooccurrence.count(log, N_ITEMS - 2)
    text = TextSimilarity(random_vectors(), half_life)
    sums = (ease(together, 5, half_life), item_item(together, 1, 3, half_life), transitions(log, 2, half_life))
    for source in (*sums, text):
        for user, scores in enumerate(source.score(histories)):
            parts = source.contributions(histories[user], everything)
            known = ~np.isnan(scores)
            assert parts.shape == (len(histories[user]), N_ITEMS)
            length = np.linalg.norm(mean_of(text, histories[user])) if source is text else 1
            assert np.allclose(parts.sum(axis=0)[known] / length, scores[known], atol=1e-3)
            assert not parts[:, ~known].any()


def mean_of(text, history):
    return decay(np.arange(len(history)), text.half_life) @ text.vectors[history]


def test_users_without_history_are_left_to_popularity():
    log = log_of([Event(0, 0, 0, "train"), Event(0, 1, 0, "train")])
    nobody = Rows.of(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 2)
    together = Cooccurrence.count(log, 9)
    text = TextSimilarity(random_vectors(), 0)
    for source in (ease(together, 1, 0), item_item(together, 0, 2, 0), transitions(log, 3, 0), text):
        assert np.isnan(source.score(nobody)).all()
    assert not np.isnan(RecentPopularity.fit(log, 1).score(nobody)).any()


def test_quality_is_ndcg_of_unseen_items_whatever_the_block():
    drawn = [Event(u, 0, u, "train") for u in range(3)] + [Event(u, 1 + u % 2, 50, "validation") for u in range(4)]
    users = Users.of(window(log_of(drawn), "validation"))

    class Fixed:
        def score(self, history):
            return np.tile(np.float32([9, 3, 2, 1, 0, -1, np.nan, 0]), (len(history), 1))

    whole = quality(Fixed(), users, 100)
    second = 1 / np.log2(3)
    third = 1 / np.log2(4)
    # Item 0 is seen by all but u03, for whom it takes the first place.
    assert whole == pytest.approx([1, second, 1, third])
    assert np.array_equal(quality(Fixed(), users, 1), whole)


def test_the_search_tries_only_neighbours_of_what_is_known_already():
    asked = []
    grid = {"a": [1, 2, 3, 4, 5, 6, 7], "b": [0, 5, 7]}
    coordinate_search(grid, lambda at: asked.append(at["a"]) or float(at["b"] == 0), start={"a": 2})
    assert set(asked) == {1, 2, 3}


def test_the_search_finds_the_best_of_each_coordinate_and_keeps_the_earlier_on_ties():
    best = {"a": 100.0, "b": 0.0}
    grid = {"a": [1, 10, 100], "b": [0, 5, 7]}
    found = coordinate_search(grid, lambda at: -sum(abs(at[key] - best[key]) for key in at))
    assert (found.parameters, found.ndcg) == (best, 0)
    assert grid == {"a": [1, 10, 100, 1000], "b": [0, 5, 7]}  # one more for a, whose best was the largest
    asked, grid = [], {"a": [1, 10, 100], "b": [0, 5, 7]}
    flat = coordinate_search(grid, lambda at: asked.append(tuple(at.values())) or 0.5)
    assert flat.parameters == {"a": 10, "b": 5}
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize(
    ("best", "found", "tried"),
    [
        (40, 40, [5, 10, 20, 40, 80]),  # not on the edge any more
        (1e6, 160, [5, 10, 20, 40, 80, 160]),  # never further than three values
        (1e-6, 0.625, [5, 10, 20, 2.5, 1.25, 0.625]),
    ],
)
def test_a_grid_goes_on_while_its_edge_is_best(best, found, tried):
    grid = {"l2": [5, 10, 20]}
    assert coordinate_search(grid, lambda at: -abs(np.log(at["l2"] / best))).parameters["l2"] == pytest.approx(found)
    assert grid["l2"] == pytest.approx(tried)


def test_a_grid_goes_on_in_its_own_steps():
    assert beyond("l2", (1, 3, 9), 9) == 27
    assert beyond("l2", (2, 0, 8), 2) == 0.5
    assert beyond("neighbours", (3, 10), 3) == 1
    assert beyond("shrinkage", (0, 10), 10) == 20


def test_a_best_value_on_the_edge_is_told():
    assert on_edge("l2", (1, 2, 3), 3)
    assert on_edge("l2", (1, 2, 3), 1)
    assert not on_edge("l2", (1, 2, 3), 2)
    assert not on_edge("shrinkage", (0, 2, 3), 0)
    assert not on_edge("steps", (1, 2, 3), 1)
    assert not on_edge("b", (0, 0.5, 1), 1)
    assert not on_edge("half_life", (0, 1, 3), 3)  # no decay lies beyond it
    assert on_edge("half_life", (1, 3), 3)
    assert not on_edge("l2", (7,), 7)


def test_nothing_known_is_nothing_to_say():
    log = log_of([])
    together = Cooccurrence.count(log, 10)
    for source in (ease(together, 1.0, 0), item_item(together, 1.0, 5, 0), transitions(log, 3, 0)):
        assert np.isnan(source.score(Rows.of(np.zeros(0, int), np.zeros(0, int), 2))).all()


def test_every_source_has_a_grid():
    assert tuple(grids(Candidates())) == Candidates().used
    assert tuple(grids(Candidates(sources=SOURCES))) == SOURCES


def test_tuning_users_are_a_seeded_sample_with_a_history_if_there_is_one():
    drawn = [Event(u, 0, 1, "train") for u in range(6)] + [Event(u, 1, 50, "validation") for u in range(9)]
    view = window(log_of(drawn), "validation")
    warm = tuning_users(view, 4, 3, "ease")
    assert warm.user_ids.tolist() == tuning_users(view, 4, 3, "ease").user_ids.tolist()
    assert len(warm.user_ids) == len(warm.history) == len(warm.targets) == 4
    assert all(warm.history.lengths)
    assert len(tuning_users(view, 99, 3, "popularity").user_ids) == 6
    new = tuning_users(view, 99, 3, "newcomers")
    assert new.user_ids.tolist() == ["u06", "u07", "u08"]
    assert not new.history.lengths.any()
    cold = window(log_of([Event(0, 0, 1, "train"), Event(1, 1, 50, "validation")]), "validation")
    assert tuning_users(cold, 4, 3, "ease").user_ids.tolist() == ["u01"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20), st.integers(1, 4))
def test_first_events_are_what_each_user_began_with(drawn, first):
    log = log_of([Event(user, at % N_ITEMS, hour, "train") for at, (user, hour) in enumerate(drawn)])
    found = first_events(log, first)
    for user in range(len(log.user_ids)):
        times = np.sort(log.time[log.user == user])[:first]
        assert sorted(found.time[found.user == user]) == times.tolist()
