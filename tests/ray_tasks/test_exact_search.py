"""Exact search against brute force in float64, by every backend that this machine has."""

import importlib.util
import logging
import platform
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_tasks.interactions.rows import Rows
from ray_tasks.search import exact, kernel
from ray_tasks.search.exact import Index, backend, top_k
from ray_tasks.search.fallbacks import FaissEngine, NumpyEngine
from ray_tasks.search.kernel import CompiledEngine
from ray_tasks.search.screened import ScreenedEngine, rounded, screens


def is_built():
    try:
        return kernel.library() is not None
    except ImportError:
        return False


ENGINES = {"compiled": CompiledEngine} if is_built() else {}
if screens():
    ENGINES["screened"] = ScreenedEngine
if importlib.util.find_spec("faiss"):
    ENGINES["faiss"] = FaissEngine
ENGINES["numpy"] = NumpyEngine
every_engine = pytest.mark.parametrize("make", ENGINES.values(), ids=ENGINES)


@st.composite
def problems(draw, whole=True):
    """Users, items, seen positions in any order and twice, and allowed items: small numbers, so that ties abound."""
    n, m, d = draw(st.integers(1, 20)), draw(st.integers(1, 150)), draw(st.sampled_from([1, 2, 3, 7, 8, 13, 300]))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = chance.integers(-2, 3, size=(n + m, d)) if whole else chance.normal(size=(n + m, d))
    vectors = values.astype(np.float32)
    most = draw(st.sampled_from([0, 3, m, 2 * m]))
    counts = chance.integers(0, most + 1, size=n)
    seen = Rows.of(np.repeat(np.arange(n), counts), chance.integers(0, m, size=counts.sum()), n)
    allowed = chance.random(m) < draw(st.sampled_from([0, 0.5, 1]))
    return vectors[:n], vectors[n:], seen, allowed, draw(st.integers(1, m + 3))


def brute_force(users, items, seen, allowed):
    """Scores in float64; -inf for what must not be in a list."""
    scores = users.astype(np.float64) @ items.astype(np.float64).T
    scores[:, ~allowed] = -np.inf
    scores[seen.row_of, seen.items] = -np.inf
    return scores


def order(scores, k):
    """Positions by score, then position; -1 where there are no more."""
    able = [n for n in range(len(scores)) if scores[n] > -np.inf]
    best = sorted(able, key=lambda n: (-scores[n], n))[:k]
    return best + [-1] * (k - len(best))


def search(make, users, items, k, seen=None, allowed=None, threads=1, **options):
    """What `Index.top_k` gives, by an engine of choice."""
    allowed = np.ones(len(items), bool) if allowed is None else allowed
    index = Index(items, allowed, by="numpy")
    index._engine = make(items, np.flatnonzero(allowed).astype(np.int32), **options)
    return index.top_k(users, k, seen, threads)


@every_engine
@settings(deadline=None)
@given(problem=problems())
def test_lists_are_those_of_brute_force_with_ties_by_position(make, problem):
    users, items, seen, allowed, k = problem
    found = search(make, users, items, k, seen, allowed)
    scores = brute_force(users, items, seen, allowed)
    assert found.positions.tolist() == [order(row, k) for row in scores]
    padded = np.hstack([scores, np.full((len(users), 1), -np.inf)])
    assert np.array_equal(found.scores, np.take_along_axis(padded, found.positions, axis=1))
    assert (found.positions.dtype, found.scores.dtype) == (np.int32, np.float32)


@every_engine
@settings(deadline=None, max_examples=50)
@given(problem=problems(whole=False))
def test_lists_of_any_numbers_are_those_of_brute_force_but_for_rounding(make, problem):
    users, items, seen, allowed, k = problem
    found = search(make, users, items, k, seen, allowed)
    for row, positions, scores in zip(brute_force(users, items, seen, allowed), *found, strict=True):
        best = np.sort(row)[::-1][:k]
        best = best[best > -np.inf]
        listed, told = positions[: len(best)], scores[: len(best)]
        assert (positions[len(best) :] == -1).all()
        assert len(set(listed.tolist())) == len(best)
        assert np.allclose(row[listed], best, atol=1e-3)
        assert np.allclose(told, row[listed], atol=1e-3)
        assert listed.tolist() == listed[np.lexsort((listed, -told))].tolist()


@every_engine
@settings(deadline=None, max_examples=30)
@given(problem=problems(whole=False), block=st.integers(1, 14), threads=st.integers(2, 4))
def test_neither_threads_nor_blocks_change_a_bit(make, problem, block, threads):
    users, items, seen, allowed, k = problem
    expected = search(make, users, items, k, seen, allowed)
    blocks = {} if make in (NumpyEngine, FaissEngine) else {"block": block}
    found = search(make, users, items, k, seen, allowed, threads, **blocks)
    assert np.array_equal(found.positions, expected.positions)
    assert np.array_equal(found.scores, expected.scores)
    one = search(make, users[-1:], items, k, seen.take(np.array([len(users) - 1])), allowed)
    assert np.array_equal(one.positions, expected.positions[-1:])
    assert np.array_equal(one.scores, expected.scores[-1:])


@every_engine
@pytest.mark.parametrize("turn", [1, -1], ids=["ever better", "ever worse"])
@pytest.mark.parametrize("k", [1, 16, 100])
def test_long_catalogues_by_ascending_and_descending_score(make, turn, k):
    items = (turn * np.arange(1_000, dtype=np.float32) // 3)[:, None]
    seen = Rows(np.array([0, 0, 500]), np.arange(0, 1_000, 2))
    found = search(make, np.ones((2, 1), np.float32), items, k, seen)
    scores = brute_force(np.ones((2, 1)), items, seen, np.ones(1_000, bool))
    assert found.positions.tolist() == [order(row, k) for row in scores]


@every_engine
@pytest.mark.parametrize("k", [1, 16, 100])
def test_long_catalogues_in_any_order(make, k):
    chance = np.random.default_rng(k)
    users, items = (chance.integers(-50, 51, size=(n, 8)).astype(np.float32) for n in (13, 3_000))
    seen = Rows.of(np.repeat(np.arange(13), 50), chance.integers(0, 3_000, size=13 * 50), 13)
    found = search(make, users, items, k, seen)
    scores = brute_force(users, items, seen, np.ones(3_000, bool))
    assert found.positions.tolist() == [order(row, k) for row in scores]


@every_engine
def test_zero_and_minus_zero_are_a_tie(make):
    items = np.array([[-1e-30], [1], [0], [1e-30]], dtype=np.float32)
    found = search(make, np.array([[1e-30]], dtype=np.float32), items, 4)
    assert found.positions.tolist() == [[1, 0, 2, 3]]


@every_engine
@pytest.mark.parametrize(("n", "m"), [(0, 5), (3, 0), (0, 0)])
def test_without_users_or_items_there_are_no_lists(make, n, m):
    found = search(make, np.ones((n, 4), np.float32), np.ones((m, 4), np.float32), 2)
    assert found.positions.tolist() == [[-1, -1]] * n
    assert found.scores.tolist() == [[-np.inf, -np.inf]] * n


@every_engine
def test_vectors_may_lie_anyhow_in_memory_and_stay_as_they_are(make):
    chance = np.random.default_rng(0)
    users, items = (chance.integers(-9, 9, size=(2 * n, 10)).astype(np.float32)[::2, ::2] for n in (7, 40))
    seen = Rows(np.arange(0, 15, 2), np.repeat(np.arange(14), 2)[::2])
    before = users.copy(), items.copy()
    found = search(make, users, items, 5, seen)
    assert found.positions.tolist() == [order(row, 5) for row in brute_force(users, items, seen, np.ones(40, bool))]
    assert np.array_equal(users, before[0])
    assert np.array_equal(items, before[1])


def test_the_function_searches_by_the_backend_in_use():
    chance = np.random.default_rng(1)
    users, items = (chance.integers(-3, 4, size=(n, 9)).astype(np.float32) for n in (30, 200))
    seen, allowed = Rows(np.arange(0, 61, 2), np.arange(60)), np.arange(200) % 3 > 0
    found = top_k(users, items, 7, seen, allowed, threads=2)
    assert found.positions.tolist() == [order(row, 7) for row in brute_force(users, items, seen, allowed)]


def test_faiss_asks_numpy_where_a_list_ends_among_equals():
    pytest.importorskip("faiss")
    items = np.ones((500, 2), np.float32)
    found = search(FaissEngine, np.ones((3, 2), np.float32), items, 4)
    assert found.positions.tolist() == [[0, 1, 2, 3]] * 3


@pytest.mark.skipif(not screens(), reason="no products of bfloat16 here")
@settings(deadline=None)
@given(
    d=st.sampled_from([1, 2, 31, 64, 65]),
    size=st.sampled_from([1e-40, 1e-20, 1e-3, 1, 1e10, 1e15]),
    spread=st.sampled_from([0, 1e-7, 1e-3, 1]),
    seed=st.integers(0, 2**32 - 1),
)
def test_screening_loses_nothing_where_scores_are_tiny_huge_or_nearly_equal(d, size, spread, seed):
    chance = np.random.default_rng(seed)
    users, items = (
        (size * (1 + spread * chance.normal(size=(n, d))) * chance.choice([1, 1, -1], d)).astype(np.float32)
        for n in (7, 400)
    )
    found = search(ScreenedEngine, users, items, 20)
    scores = users.astype(np.float64) @ items.astype(np.float64).T
    # What it lists is as good as the best, but for the rounding of float32, whose sums have d terms.
    within = d * 2.0**-22 * np.abs(users).astype(np.float64) @ np.abs(items).astype(np.float64).max(axis=0) + 1e-44 * d
    listed = np.take_along_axis(scores, found.positions, axis=1)
    assert (np.sort(listed)[:, ::-1] >= np.sort(scores)[:, ::-1][:, :20] - within[:, None]).all()


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_rounding_takes_a_256th_at_most_and_says_how_much(values):
    row = np.array([values], dtype=np.float32)
    halves, lost = rounded(row)
    near = (halves.astype(np.uint32) << 16).view(np.float32)[:, : len(values)].astype(np.float64)
    assert np.isfinite(near).all()
    assert (np.abs(near - row) <= np.abs(row) / 256 + 1.2e-38).all()
    np.testing.assert_allclose(lost, np.linalg.norm(near - row, axis=1), rtol=1e-6, atol=1e-45)


# What is refused

GOOD = np.ones((3, 4), np.float32)
SEEN = Rows.of(np.array([0, 2]), np.array([1, 2]), 3)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"users": GOOD.astype(np.float64)}, r"users: expected float32 \(rows, dimensions\), found float64 \(3, 4\)"),
        ({"items": GOOD[0]}, r"items: expected float32 \(rows, dimensions\), found float32 \(4,\)"),
        ({"items": GOOD[:, :0]}, r"found float32 \(3, 0\)"),
        ({"users": GOOD[:, :3]}, "users: expected the 4 dimensions of the items, found 3"),
        ({"users": GOOD * np.float32(np.nan)}, "users: .* NaN or infinity in 3 rows, the first at 0"),
        ({"items": np.vstack([GOOD, GOOD * np.float32(np.inf)])}, "items: .* in 3 rows, the first at 3"),
        ({"users": GOOD * np.float32(1e20), "items": GOOD * np.float32(1e20)}, "scores: expected to fit into float32"),
        ({"k": 0}, "k: expected at least 1, found 0"),
        ({"threads": 0}, "threads: expected at least 1, found 0"),
        ({"allowed": np.ones(2, bool)}, r"allowed: expected bool \(3,\), found bool \(2,\)"),
        ({"allowed": np.ones(3, int)}, "allowed: expected bool .*, found int64"),
        ({"seen": SEEN.take(np.array([0]))}, "seen: expected 3 rows, one for each user, found 1"),
        ({"seen": Rows(SEEN.offsets, np.array([1, 3]))}, "seen: expected positions of 3 items, found 0 to 3"),
        ({"seen": Rows(SEEN.offsets, np.array([-1, 2]))}, "seen: expected positions of 3 items, found -1 to 2"),
        ({"seen": Rows(SEEN.offsets, SEEN.items[:1])}, "seen: expected ascending offsets up to 1"),
        ({"seen": Rows(SEEN.offsets.astype(np.int32), SEEN.items)}, "seen: expected int64, found int32, int64"),
        ({"k": 0, "threads": -1}, "k: expected .*; threads: expected .* found -1"),
    ],
)
def test_unfit_input_is_refused_with_what_was_expected_and_found(changed, told):
    fit = {"users": GOOD, "items": GOOD, "k": 2, "seen": SEEN, "allowed": np.ones(3, bool), "threads": 1}
    top_k(**fit)
    with pytest.raises(ValueError, match=f"^exact search: .*{told}"):
        top_k(**fit | changed)


# Which backend it is


def chosen(monkeypatch, caplog, library):
    """What `backend` answers and logs with another kernel in the place of the real one."""
    monkeypatch.setattr(kernel, "library", library)
    backend.cache_clear()
    with caplog.at_level(logging.INFO, "nightrec.search"):
        found = [backend(), backend()]
    backend.cache_clear()
    assert found[0] == found[1]
    return found[0], [record.message for record in caplog.records]


def missing():
    raise ImportError("the compiled kernel was not built")


def test_without_the_kernel_numpy_searches_and_the_log_says_why_once(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "faiss", None)
    told = ["exact search by NumPy: the compiled kernel was not built, and faiss is not installed"]
    assert chosen(monkeypatch, caplog, missing) == ("numpy", told)


def test_faiss_comes_before_numpy(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "faiss", object())
    told = ["exact search by faiss: the compiled kernel was not built"]
    assert chosen(monkeypatch, caplog, missing) == ("faiss", told)


@pytest.mark.skipif(not is_built(), reason="there was no C compiler when Nightrec was installed")
def test_the_kernel_comes_first(monkeypatch, caplog):
    name, (told,) = chosen(monkeypatch, caplog, kernel.library)
    assert name == "compiled"
    assert told == "exact search by the compiled kernel"


@pytest.mark.skipif(not is_built(), reason="there was no C compiler when Nightrec was installed")
def test_a_kernel_of_another_version_is_not_called(monkeypatch):
    monkeypatch.setattr(kernel, "INTERFACE", kernel.INTERFACE + 1)
    with pytest.raises(ImportError, match="of interface 3, not 4; install Nightrec again"):
        kernel.library.__wrapped__()


@pytest.mark.parametrize("content", [None, b"not a library"], ids=["missing", "broken"])
def test_a_kernel_that_is_not_there_or_cannot_be_loaded_is_named(monkeypatch, tmp_path, content):
    if content:
        (tmp_path / f"_topk{kernel.EXTENSION_SUFFIXES[0]}").write_bytes(content)
    monkeypatch.setattr(kernel, "__file__", str(tmp_path / "kernel.py"))
    with pytest.raises(ImportError, match="cannot be loaded" if content else "was not built"):
        kernel.library.__wrapped__()


@pytest.mark.skipif(not shutil.which("gcc") or platform.machine() != "x86_64", reason="nothing to build it with or for")
def test_with_a_compiler_the_kernel_is_built():
    assert is_built(), "install Nightrec again: `pip install -e .` builds ray_tasks/search/_topk.c"


def test_every_backend_has_an_engine():
    assert set(exact.ENGINES) == {"compiled", "faiss", "numpy"}
