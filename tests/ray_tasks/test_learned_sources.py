"""Sources that are trained (sequence models, two towers) or spread texts: what they learn, and what never moves it."""

import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_tasks.interactions.rows import Rows
from ray_tasks.retrieval.collaborative import unit
from ray_tasks.retrieval.graph import fit_graph
from ray_tasks.retrieval.new_items import fit_new_items
from ray_tasks.retrieval.sequence import (
    OFTEN,
    SequenceSettings,
    batches,
    fit_sequence,
    read_together,
    rows_of,
    sequences,
)
from ray_tasks.retrieval.text_similarity import TextSimilarity
from ray_tasks.retrieval.training import Negatives, Schedule
from ray_tasks.retrieval.two_tower import Pairs, TwoTowerSettings, fit_two_tower

N = 12
SMALL = SequenceSettings(width=16, layers=1, longest=6, dropout=0, epochs=60, batch_tokens=256, learning_rate=1e-2)
TOWERS = TwoTowerSettings(dimensions=4, experts=2, epochs=30, batch=64, negatives=64, learning_rate=2e-2)
drawn_histories = st.lists(st.lists(st.integers(0, N - 1), max_size=9, unique=True), min_size=1, max_size=8)


def rows(*histories):
    user = np.repeat(np.arange(len(histories)), [len(one) for one in histories])
    return Rows.of(user, np.array([item for one in histories for item in one], dtype=np.int64), len(histories))


def ring(n_items=10, users=60):
    """Users who walk around a ring of items; most recent first."""
    return rows(*[[(user + step) % n_items for step in range(4, -1, -1)] for user in range(users)])


def best(source, *histories):
    scores = source.score(rows(*histories))
    for row, history in enumerate(histories):
        scores[row, history] = np.nan
    return [int(np.nanargmax(one)) for one in scores]


@given(drawn_histories, st.integers(2, 5))
def test_pieces_tell_every_step_of_every_history_once(histories, longest):
    told = [pair for piece in sequences(rows(*histories), longest) for pair in pairwise(piece)]
    assert all(2 <= len(piece) <= longest for piece in sequences(rows(*histories), longest))
    steps = [pair for one in histories for pair in pairwise(one[::-1])]
    assert sorted(told) == sorted(steps)


@given(st.lists(st.integers(2, 9), min_size=1, max_size=30), st.integers(1, 30), st.integers(0, 3))
def test_batches_hold_every_piece_once_and_no_more_items_than_asked(lengths, tokens, seed):
    pieces = [np.full(length, at) for at, length in enumerate(lengths)]
    found = list(batches(pieces, tokens, np.random.default_rng(seed)))
    assert sorted(int(piece[0]) for batch in found for piece in batch) == list(range(len(pieces)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(len(piece) - 1 for piece in batch) <= tokens


@pytest.fixture(scope="module")
def walker():
    return fit_sequence(ring(), N, None, SMALL, seed=1)


def test_a_sequence_model_learns_what_comes_next(walker):
    assert best(walker, [4, 3, 2], [0, 9, 8], [7, 6]) == [5, 1, 8]


def test_it_says_nothing_of_what_nobody_took_nor_to_whom_it_does_not_know(walker):
    scores = walker.score(rows([3, 2], [], [10, 11]))
    assert np.isnan(scores[1:]).all()
    assert np.isnan(scores[0, 10:]).all()
    assert scores[0, :10].sum() == pytest.approx(1, abs=1e-3)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=9, unique=True), min_size=1, max_size=6))
def test_a_users_scores_do_not_depend_on_the_others_of_the_block(walker, histories):
    together = walker.score(rows(*histories))
    alone = np.vstack([walker.score(rows(one)) for one in histories])
    assert np.array_equal(together, alone, equal_nan=True)


@given(st.lists(st.integers(0, 120), max_size=400), st.sampled_from([4, 8, 20, 100]))
def test_every_history_is_read_once_in_a_shape_that_its_own_length_decides(drawn, longest):
    lengths = np.minimum(np.array(drawn, dtype=np.int64), longest)
    found = list(read_together(lengths, longest))
    assert sorted(row for _, rows in found for row in rows) == np.flatnonzero(lengths).tolist()
    for places, rows in found:
        assert len(rows) <= rows_of(places)
        for row in rows:
            assert lengths[row] <= places
            assert [places] == [width for width, _ in read_together(lengths[[row]], longest)]


def test_a_dense_log_is_read_with_less_dropout_and_a_large_one_no_further_than_the_budget():
    settings = SequenceSettings(epochs=20, dropout=0.5, most_tokens=10_000)
    assert [settings.on(tokens, 4).epochs for tokens in (10, 1_000, 50_000)] == [20, 10, 1]
    assert [settings.on(tokens, 4).dropout for tokens in (0, 10, OFTEN * 4, OFTEN * 8)] == [0.5, 0.5, 0.5, 0.25]


def test_the_same_seed_trains_the_same_model_and_it_survives_a_trip(walker):
    short = replace(SMALL, epochs=3)
    one, other = (fit_sequence(ring(), N, None, short, seed=2) for _ in range(2))
    asked = rows([4, 3], [9])
    assert np.array_equal(one.score(asked), other.score(asked), equal_nan=True)
    sent = pickle.loads(pickle.dumps(walker))
    assert np.array_equal(sent.score(asked), walker.score(asked), equal_nan=True)


def test_the_token_limit_shortens_training(caplog):
    caplog.set_level("INFO", logger="nightrec.candidates")
    fit_sequence(ring(), N, None, replace(SMALL, most_tokens=3 * 60 * 4 + 1), seed=1)
    assert len([one for one in caplog.messages if one.startswith("sequence: epoch")]) == 3


def test_an_item_that_nobody_took_is_placed_by_its_text():
    vectors = unit(np.vstack([np.eye(10), np.eye(10)[[5, 8]]]).astype(np.float32))  # 10 reads like 5, 11 like 8
    source = fit_sequence(ring(), N, vectors, replace(SMALL, item_dropout=0.5), seed=1)
    scores = source.score(rows([4, 3, 2], [7, 6, 5]))
    assert scores[0, 10] > scores[0, 11]
    assert scores[1, 11] > scores[1, 10]


def test_nothing_to_learn_from_is_no_error():
    source = fit_sequence(rows([3], []), N, None, SMALL, seed=1)
    assert np.isfinite(source.score(rows([3]))[0, 3])


GROUPS = rows(
    *[[item for item in range(half, 10, 2) if item != user % 5 * 2 + half] for user in range(40) for half in (0, 1)]
)
TEXTS = unit(np.column_stack([np.arange(N) % 2 == 0, np.arange(N) % 2 == 1, np.ones(N) * 0.1]).astype(np.float32))


@pytest.fixture(scope="module")
def towers():
    return fit_two_tower(GROUPS, TEXTS, 3, TOWERS, seed=1)


def test_towers_place_a_new_item_among_those_that_read_like_it(towers):
    scores = towers.score(rows([0, 2, 4], [1, 3, 5]))
    assert scores[0, 10] > scores[0, 11]
    assert scores[1, 11] > scores[1, 10]


def test_new_items_are_those_that_few_took_and_come_to_whom_they_are_like():
    source = fit_new_items(GROUPS, TEXTS, 5, 3)
    assert np.flatnonzero(source.new).tolist() == [10, 11]
    scores = source.score(rows([0, 2, 4], [1, 3, 5], []))
    assert np.isnan(scores[:, :10]).all()
    assert np.isnan(scores[2]).all()
    assert scores[0, 10] > scores[0, 11]
    assert scores[1, 11] > scores[1, 10]
    silent = TEXTS.copy()
    silent[11] = 0
    assert np.flatnonzero(fit_new_items(GROUPS, silent, 5, 3).new).tolist() == [10]


def test_towers_place_a_new_user_by_what_is_said(towers):
    scores = towers.score_texts(np.vstack([TEXTS[0], TEXTS[1], 0 * TEXTS[0]]))
    # Of ten items that few users took, one may stand anywhere: which one, a processor's rounding decides.
    assert np.median(scores[0, [0, 2, 4, 6, 8]]) > scores[0, [1, 3, 5, 7, 9]].max()
    assert np.median(scores[1, [1, 3, 5, 7, 9]]) > scores[1, [0, 2, 4, 6, 8]].max()
    assert np.isnan(scores[2]).all()


def test_towers_know_nothing_of_items_without_text_and_interactions(towers):
    texts = TEXTS.copy()
    texts[10] = 0
    source = fit_two_tower(GROUPS, texts, 3, replace(TOWERS, epochs=1), seed=1)
    scores = source.score(rows([0, 2], [], [10]))
    assert np.isnan(scores[:, 10]).all()
    assert np.isnan(scores[1:]).all()
    assert np.isfinite(scores[0, :10]).all()


def test_towers_are_the_same_every_time():
    one, other = (fit_two_tower(GROUPS, TEXTS, 3, replace(TOWERS, epochs=2), seed=4) for _ in range(2))
    assert np.array_equal(one.score(rows([0])), other.score(rows([0])))


@given(drawn_histories)
def test_pairs_ask_for_each_item_but_the_first_by_what_came_before(histories):
    pairs = Pairs(rows(*histories), 0, TOWERS)
    asked = pairs.rows()
    weights = pairs.before(asked, N).toarray()
    wanted = [(item, one[at + 1 :]) for one in histories for at, item in enumerate(one[:-1])]
    assert [int(item) for item in pairs.histories.items[asked]] == [item for item, _ in wanted]
    for row, (_, before) in zip(weights, wanted, strict=True):
        assert sorted(np.flatnonzero(row)) == sorted(before)


@given(drawn_histories, st.integers(1, 3))
def test_texts_spread_as_a_plain_walk_over_the_graph_says(histories, layers):
    taken, vectors = rows(*histories), unit(np.random.default_rng(1).normal(size=(N, 4)))
    pairs = taken.weighted(N, 0).toarray().astype(float)
    with np.errstate(divide="ignore"):
        by_user, by_item = (np.nan_to_num(1 / np.sqrt(pairs.sum(axis=axis)), posinf=0) for axis in (1, 0))
    links = by_user[:, None] * pairs * by_item[None, :]
    total = sum(np.linalg.matrix_power(links.T @ links, step) @ vectors for step in range(layers + 1))
    found = fit_graph(taken, vectors, layers, 0)
    assert isinstance(found, TextSimilarity)
    assert np.allclose(found.vectors, unit(total), atol=1e-5)
    untouched = ~pairs.any(axis=0)
    assert np.allclose(found.vectors[untouched], vectors[untouched], atol=1e-6)


def test_negatives_are_drawn_by_the_power_of_their_counts_and_never_what_nobody_took():
    negatives = Negatives.by(np.array([0, 1, 4, 0, 16]), 0.5)
    drawn = np.bincount(negatives.draw(70_000, np.random.default_rng(1)), minlength=5)
    assert not drawn[[0, 3]].any()
    assert np.allclose(drawn[[1, 2, 4]] / 10_000, [1, 2, 4], rtol=0.05)
    assert np.allclose(np.exp(negatives.log_chance[[1, 2, 4]]), np.array([1, 2, 4]) / 7)


def test_the_rate_rises_and_then_falls_to_nothing():
    shares = [Schedule(10, 10, 1, 0).share(step) for step in range(100)]
    assert shares[0] < shares[4] > shares[50] > shares[99]
    assert shares[99] < 0.001
