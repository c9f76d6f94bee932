"""Exact search: for every user the k items of the largest inner product that are allowed and not seen.

Order is total: score descending, ties by position. Lists and scores are the same whatever the number of threads, and
whoever else is searched for at once. Memory is the vectors, a copy of the items, the lists and a few MB per thread,
whatever the number of users: their scores of all items are never there together.

The backend is the compiled kernel (kernel.py, screened.py); without it faiss, if it can be imported; else NumPy
(fallbacks.py).
Scores of different backends, or of processors with other vector units, can differ in their last bits.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Rows
from ray_tasks.search import kernel
from ray_tasks.search.engine import Engine, Lists, Positions, Vectors
from ray_tasks.search.fallbacks import FaissEngine, NumpyEngine
from ray_tasks.search.kernel import CompiledEngine
from ray_tasks.search.screened import ScreenedEngine, screens

log = logging.getLogger("nightrec.search")

Backend = Literal["compiled", "faiss", "numpy"]
SCREENED_FROM = 96
"""Dimensions from which fewer products of float32 outweigh those of bfloat16."""


def compiled_engine(items: Vectors, positions: Positions) -> Engine:
    """The compiled kernel, screening where that pays."""
    return (ScreenedEngine if items.shape[1] >= SCREENED_FROM and screens() else CompiledEngine)(items, positions)


ENGINES: Mapping[Backend, Callable[[Vectors, Positions], Engine]] = {
    "compiled": compiled_engine,
    "faiss": FaissEngine,
    "numpy": NumpyEngine,
}
LARGEST = float(np.finfo(np.float32).max) / 2
"""Scores that cannot exceed this in size cannot overflow while they are summed."""


@cache
def backend() -> Backend:
    """What searches in this process; the log says it once, with the reason."""
    try:
        kernel.library()
    except ImportError as error:
        reason = str(error)
    else:
        log.info("exact search by the compiled kernel")
        return "compiled"
    try:
        import faiss  # noqa: F401
    except ImportError:
        log.info("exact search by NumPy: %s, and faiss is not installed", reason)
        return "numpy"
    log.info("exact search by faiss: %s", reason)
    return "faiss"


def top_k(
    users: Vectors,
    items: Vectors,
    k: int,
    seen: Rows | None = None,
    allowed: NDArray[np.bool_] | None = None,
    threads: int = 1,
) -> Lists:
    """Each user's k best items of those that are allowed and not seen. See Index and Index.top_k."""
    return Index(items, allowed).top_k(users, k, seen, threads)


class Index:
    """Items that are prepared once and searched for any number of users, read-only and from any thread.

    `items` float32 (items, dimensions), finite; `allowed` (items): which may be in a list (default: all); `by`: a
    backend other than the one of `backend()`. Raises ValueError that names every unfit input.
    """

    def __init__(self, items: Vectors, allowed: NDArray[np.bool_] | None = None, by: Backend | None = None) -> None:
        _refuse(_unfit_matrix("items", items))
        _refuse(_unfit_values("items", items))
        if allowed is None:
            allowed = np.ones(len(items), dtype=np.bool_)
        if allowed.shape != (len(items),) or allowed.dtype != np.bool_:
            _refuse([f"allowed: expected bool ({len(items)},), found {allowed.dtype} {allowed.shape}"])
        self._shape, self._largest = items.shape, _largest(items)
        self._able = int(np.count_nonzero(allowed))
        self._engine = ENGINES[by or backend()](items, np.flatnonzero(allowed).astype(np.int32))

    def top_k(self, users: Vectors, k: int, seen: Rows | None = None, threads: int = 1) -> Lists:
        """Each user's k best items, best first, ties by position; -1 and -infinity where there are no more.

        `users` float32 (users, dimensions), finite; `seen`: per user the positions that must not be in the list, in any
        order, though ascending ones need no sorting. Raises ValueError that names every unfit input.
        """
        _refuse([*_unfit_matrix("users", users), *_unfit_numbers(k=k, threads=threads)])
        _refuse([*self._unfit_users(users), *self._unfit_seen(seen, len(users))])
        lists = Lists(np.full((len(users), k), -1, np.int32), np.full((len(users), k), -np.inf, np.float32))
        within = min(k, self._able)
        if not len(users) or not within:
            return lists
        found = self._engine.search(users, within, seen, threads)
        if within == k:
            return found
        lists.positions[:, :within], lists.scores[:, :within] = found
        return lists

    def _unfit_users(self, users: Vectors) -> Iterator[str]:
        dimensions = self._shape[1]
        if users.shape[1] != dimensions:
            yield f"users: expected the {dimensions} dimensions of the items, found {users.shape[1]}"
        yield from _unfit_values("users", users)
        largest = _largest(users)
        if largest < np.inf and dimensions * largest * self._largest > LARGEST:
            yield (
                f"scores: expected to fit into float32, found users up to {largest:g} and items up to {self._largest:g}"
                f" in {dimensions} dimensions; scale the vectors"
            )

    def _unfit_seen(self, seen: Rows | None, n_users: int) -> Iterator[str]:
        if seen is None:
            return
        if len(seen) != n_users:
            yield f"seen: expected {n_users:,} rows, one for each user, found {len(seen):,}"
        kinds = {array.dtype for array in (seen.offsets, seen.items)}
        if kinds != {np.dtype(np.int64)}:
            yield f"seen: expected int64, found {', '.join(sorted(map(str, kinds)))}"
        first, last = int(seen.offsets[0]), int(seen.offsets[-1])
        if first < 0 or last > len(seen.items) or (seen.lengths < 0).any():
            yield f"seen: expected ascending offsets up to {len(seen.items):,}, found others between {first} and {last}"
        lowest, highest = int(seen.items.min(initial=0)), int(seen.items.max(initial=0))
        if len(seen.items) and (lowest < 0 or highest >= self._shape[0]):
            yield f"seen: expected positions of {self._shape[0]:,} items, found {lowest} to {highest}"


def _unfit_matrix(name: str, vectors: Vectors) -> Iterator[str]:
    if vectors.dtype != np.float32 or vectors.ndim != 2 or not vectors.shape[1]:
        yield f"{name}: expected float32 (rows, dimensions), found {vectors.dtype} {vectors.shape}"


def _unfit_values(name: str, vectors: Vectors) -> Iterator[str]:
    if not _largest(vectors) < np.inf:
        rows = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        yield f"{name}: expected finite values, found NaN or infinity in {len(rows):,} rows, the first at {rows[0]}"


def _unfit_numbers(**numbers: int) -> Iterator[str]:
    for name, number in numbers.items():
        if number < 1:
            yield f"{name}: expected at least 1, found {number}"


def _largest(vectors: Vectors) -> float:
    """The largest size of a value; NaN if there is one. Without a copy, as there may be many vectors."""
    return max(float(vectors.max(initial=0)), -float(vectors.min(initial=0)))


def _refuse(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise ValueError(f"exact search: {'; '.join(found)}")
