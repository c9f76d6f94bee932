"""Semantic ids and the decoder that writes them: ids are a tree of the catalogue, chances add up, the next is found."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_tasks.interactions.rows import Rows
from ray_tasks.retrieval.collaborative import unit
from ray_tasks.retrieval.generative import GenerativeSettings, fit_generative, fused
from ray_tasks.retrieval.semantic_ids import Trie, k_means, semantic_ids, usual_codes

N = 12
SMALL = GenerativeSettings(
    levels=2,
    codes=4,
    width=16,
    layers=1,
    longest=6,
    dropout=0,
    beams=N,
    epochs=60,
    batch_tokens=512,
    learning_rate=1e-2,
)


def rows(*histories):
    user = np.repeat(np.arange(len(histories)), [len(one) for one in histories])
    return Rows.of(user, np.array([item for one in histories for item in one], dtype=np.int64), len(histories))


def texts(n_items=N, without=(), seed=0):
    vectors = unit(np.random.default_rng(seed).normal(size=(n_items, 6)).astype(np.float32))
    vectors[list(without)] = 0
    return vectors


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 40), st.integers(1, 3), st.integers(1, 5), st.booleans(), st.integers(0, 3))
def test_every_item_with_a_text_has_an_id_of_its_own(n_items, levels, codes, balanced, seed):
    vectors = texts(n_items, range(0, n_items, 7), seed)
    ids = semantic_ids(vectors, levels, codes, balanced, seed)
    known = vectors.any(axis=1)
    assert ids.shape == (n_items, levels + 1)
    assert (ids[~known] == -1).all()
    assert (ids[known, :levels] < codes).all()
    assert (ids[known] >= 0).all()
    assert len({tuple(one) for one in ids[known]}) == known.sum()


def test_likes_share_the_beginning_of_their_ids():
    centres = texts(4)
    noise = np.random.default_rng(1).normal(size=(40, 6)) * 0.01
    ids = semantic_ids((np.repeat(centres, 10, axis=0) + noise).astype(np.float32), levels=2, codes=4)
    groups = [set(ids[start : start + 10, 0].tolist()) for start in range(0, 40, 10)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(*groups)) == 4


def test_balanced_codes_are_used_about_equally_often():
    chance = np.random.default_rng(0)
    crowd = np.vstack([chance.normal(size=(180, 4)) * 0.3, chance.normal(size=(20, 4)) * 0.3 + 3]).astype(np.float32)
    largest = {
        balanced: np.bincount(k_means(crowd, 8, balanced, np.random.default_rng(1))[0], minlength=8).max()
        for balanced in (True, False)
    }
    assert largest[True] <= 1.5 * len(crowd) / 8 < largest[False]


@given(st.integers(1, 10**6))
def test_the_usual_number_of_codes_grows_with_the_catalogue_within_bounds(n_items):
    codes = usual_codes(n_items)
    assert 64 <= codes <= 256
    assert codes in (64, 256) or codes**2 >= n_items > (codes / 2) ** 2


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 4))
def test_every_path_of_the_tree_ends_at_its_item(n_items, levels, codes):
    trie = Trie(semantic_ids(texts(n_items, [0] if n_items > 1 else []), levels, codes))
    for item in np.flatnonzero(trie.known):
        node = 0
        for level, code in enumerate(trie.codes[item]):
            node = trie.children[level][node, code]
        assert trie.items[node] == item
    leaves = sum(int((table >= 0).sum()) for table in trie.children[-1:])
    assert leaves == trie.known.sum()


def ring(users=60):
    return rows(*[[(user + step) % 10 for step in range(4, -1, -1)] for user in range(users)])


@pytest.fixture(scope="module")
def writer():
    return fit_generative(ring(), texts(without=[11]), SMALL, seed=1)


def test_the_decoder_learns_what_comes_next(writer):
    scores = writer.score(rows([4, 3, 2], [0, 9, 8], [7, 6]))
    assert np.nanargmax(scores, axis=1).tolist() == [5, 1, 8]


def test_the_chances_of_all_items_add_up_to_one_and_beam_search_finds_them_all(writer):
    scores = writer.score(rows([3, 2], [], [11]))
    assert not np.isnan(scores[0, :11]).any()
    assert scores[0, :11].sum() == pytest.approx(1, abs=1e-3)
    assert np.isnan(scores[:, 11]).all()
    assert np.isnan(scores[1:]).all()


def test_narrow_beams_find_the_best_items_only(writer):
    narrow = replace(writer, settings=replace(SMALL, beams=3))
    found, every = narrow.score(rows([3, 2])), writer.score(rows([3, 2]))
    assert (~np.isnan(found)).sum() == 3
    assert np.nanargmax(found) == np.nanargmax(every)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.lists(st.integers(0, 10), min_size=1, max_size=8, unique=True), min_size=1, max_size=5))
def test_a_users_scores_do_not_depend_on_the_others_of_the_block(writer, histories):
    together = writer.score(rows(*histories))
    alone = np.vstack([writer.score(rows(one)) for one in histories])
    assert np.array_equal(together, alone, equal_nan=True)


def test_it_can_be_sent_to_a_worker_and_answers_the_same(writer):
    asked = rows([4, 3], [9])
    assert np.array_equal(pickle.loads(pickle.dumps(writer)).score(asked), writer.score(asked), equal_nan=True)


def test_the_same_seed_gives_the_same_scores():
    few = GenerativeSettings(levels=2, codes=4, width=16, layers=1, longest=6, beams=N, epochs=2)
    one, two = (fit_generative(ring(20), texts(), few, seed=3).score(rows([1, 0])) for _ in range(2))
    assert np.array_equal(one, two, equal_nan=True)


def test_without_anything_to_learn_from_it_still_answers():
    scores = fit_generative(rows([3]), texts(), SMALL, seed=1).score(rows([3], []))
    assert scores.shape == (2, N)
    assert np.isnan(scores[1]).all()


def test_who_takes_an_item_moves_its_vector_only_where_asked():
    vectors = texts(without=[11])
    assert np.array_equal(fused(vectors, ring(), 0), vectors)
    both = fused(vectors, ring(), 1.0, dimensions=4)
    assert both.shape == (N, 10)
    assert not both[11].any()
