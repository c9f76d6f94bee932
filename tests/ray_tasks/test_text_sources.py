"""Sources that read words, and factors: against plain calculations."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from small_log import N_ITEMS, events, log_of

from ray_tasks.interactions.rows import Rows
from ray_tasks.retrieval.cooccurrence import Cooccurrence, fit_ease
from ray_tasks.retrieval.ials import fit_ials, solve
from ray_tasks.retrieval.regularised_ease import fit_regularised_ease
from ray_tasks.retrieval.words import WordSimilarity, word_rows

DOCUMENTS = ("red shoes by Acme", "red boots by Acme", "garden hose", "green garden hose", "", "unique")


def rows(*histories):
    user = np.repeat(np.arange(len(histories)), [len(one) for one in histories])
    return Rows.of(user, np.array([item for one in histories for item in one], dtype=np.int64), len(histories))


def test_words_are_unit_rows_of_what_documents_share():
    words = word_rows(DOCUMENTS)
    lengths = np.sqrt(words.multiply(words).sum(axis=1))
    assert np.allclose(lengths[[0, 1, 2, 3]], 1, atol=1e-6)
    assert not lengths[[4, 5]].any()
    alike = (words @ words.T).toarray()
    assert alike[0, 1] > 0.5 < alike[2, 3]
    assert alike[0, 2] == 0
    assert word_rows(["", "one"]).shape == (2, 1)


@given(st.lists(st.lists(st.integers(0, 5), max_size=4, unique=True), max_size=4), st.sampled_from([0.0, 2.0]))
def test_word_similarity_is_the_cosine_to_the_weighted_mean(histories, half_life):
    source = WordSimilarity(word_rows(DOCUMENTS), half_life)
    plain = source.words.toarray()
    found = source.score(rows(*histories))
    for history, scores in zip(histories, found, strict=True):
        weights = 0.5 ** (np.arange(len(history)) / half_life) if half_life else np.ones(len(history))
        mean = weights @ plain[history] if history else np.zeros(plain.shape[1])
        if not mean.any():
            assert np.isnan(scores).all()
            continue
        assert np.isnan(scores[[4, 5]]).all()
        assert np.allclose(scores[:4], (plain @ mean / np.linalg.norm(mean))[:4], atol=1e-4)
        parts = source.contributions(np.array(history), np.arange(4)).sum(axis=0)
        assert np.allclose(parts / np.linalg.norm(mean), scores[:4], atol=1e-4)


@settings(deadline=None)
@given(events(), st.sampled_from([1.0, 100.0]))
def test_without_weight_a_text_prior_changes_nothing_and_with_it_alike_items_help_each_other(drawn, l2):
    together = Cooccurrence.count(log_of(drawn), N_ITEMS)
    words = csr_matrix(np.eye(N_ITEMS, dtype=np.float32))
    assert np.array_equal(fit_regularised_ease(together, words, l2, 0), fit_ease(together, l2))
    same = csr_matrix(np.ones((N_ITEMS, 1), dtype=np.float32))
    if len(together.core) > 1:
        plain, helped = fit_ease(together, l2), fit_regularised_ease(together, same, l2, 50)
        assert helped.sum() > plain.sum()


def test_a_users_factors_solve_the_ridge_regression_of_the_whole_row():
    chance = np.random.default_rng(1)
    others = chance.normal(size=(6, 3)).astype(np.float32)
    pairs = csr_matrix(np.array([[0, 1, 0, 0.5, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=np.float32))
    found = solve(pairs, others, 0.1, 0.01)
    wanted = pairs.toarray()
    for row in range(2):
        weights = np.diag(wanted[row] + 0.1)
        strength = 0.01 * (wanted[row].sum() + 0.1 * 6)
        left = others.T @ weights @ others + strength * np.eye(3)
        assert np.allclose(found[row], np.linalg.solve(left, others.T @ wanted[row]), atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from([0.003, 1.0]), st.sampled_from([0.0, 0.1, 1.0]))
def test_rows_of_any_length_are_solved_exactly(seed, l2, unobserved):
    chance = np.random.default_rng(seed)
    others = chance.normal(size=(30, 4)).astype(np.float32)
    wanted = chance.random((12, 30)) * (chance.random((12, 30)) < np.linspace(0, 1, 12)[:, None])  # 0 to 30 observed
    found = solve(csr_matrix(wanted.astype(np.float32)), others, unobserved, l2)
    for row, weights in zip(found, wanted, strict=True):
        strength = l2 * (weights.sum() + unobserved * 30) + 1e-12  # who observed nothing has 0 on the right
        left = others.T @ np.diag(weights + unobserved) @ others + strength * np.eye(4)
        assert np.allclose(row, np.linalg.solve(left, others.T @ weights), rtol=1e-3, atol=1e-4)


def test_factors_find_the_two_groups_of_a_log_and_a_seed_gives_the_same():
    groups = [[0, 1, 2, 3], [4, 5, 6, 7]]
    histories = rows(*[[item for item in groups[user % 2] if item % 4 != user // 2 % 4] for user in range(24)])
    fixed = {"dimensions": 4, "unobserved": 0.1, "l2": 0.01, "seed": 3}
    source = fit_ials(histories, 9, **fixed)
    scores = source.score(rows([0, 1], []))
    assert scores[0, [2, 3]].min() > scores[0, [4, 5, 6, 7]].max()
    assert np.isnan(scores[0, 8])
    assert np.isnan(scores[1]).all()
    assert np.array_equal(source.items, fit_ials(histories, 9, **fixed).items)
    assert source.items[:8].std() > 1e-3
