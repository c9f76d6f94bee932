"""One side of `make bench-score`: `python infra/bench/peers/search.py SIDE FOLDER K THREADS`.

The folder holds `users.npy` and `items.npy`, float32 (rows, dimensions), and `seen.npy`, int64 (users, n): what each
user's list leaves out, ascending. The side prepares its items and tells what that took. Then it answers every line of
standard input, {"start", "stop", and "save" if the lists are wanted}, with one of standard output: {"seconds",
"peak_rss_mb"}. Lists are int64 (users, K), best first.

The sides of other libraries run in the peers' environment; only `ours` imports Nightrec.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from exchange import peak_kb
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

Search = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From users and what they have seen to their lists."""


def main() -> None:
    """Prepare, then answer until there is nothing more to read."""
    side, folder, k, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    make, libraries = SIDES[side]
    users, items, seen = (np.load(folder / f"{name}.npy") for name in ("users", "items", "seen"))
    started = time.perf_counter()
    search, told = make(items, k, threads)
    del items  # whoever needs them has them
    versions = {name: version(name) for name in ("numpy", *libraries)}
    tell({"prepare_seconds": round(time.perf_counter() - started, 3), "versions": versions, **told})
    for line in sys.stdin:
        asked = json.loads(line)
        rows = slice(asked["start"], asked["stop"])
        started = time.perf_counter()
        found = search(users[rows], seen[rows])
        seconds = time.perf_counter() - started
        if "save" in asked:
            np.save(asked["save"], found)
        tell({"seconds": seconds, "peak_rss_mb": round(peak_kb() / 1024)})


def tell(answer: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(answer), flush=True)


def ours(items: np.ndarray, k: int, threads: int) -> tuple[Search, dict[str, Any]]:
    """ray_tasks.search."""
    from ray_tasks.interactions.rows import Rows
    from ray_tasks.search.exact import Index, backend

    index = Index(items)

    def search(users: np.ndarray, seen: np.ndarray) -> np.ndarray:
        rows = Rows(np.arange(len(users) + 1, dtype=np.int64) * seen.shape[1], seen.ravel())
        return index.top_k(users, k, rows, threads).positions

    return search, {"backend": backend()}


def faiss(items: np.ndarray, k: int, threads: int) -> tuple[Search, dict[str, Any]]:
    """faiss' IndexFlatIP: as many more items as a user has seen, and these taken out afterwards."""
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)

    def search(users: np.ndarray, seen: np.ndarray) -> np.ndarray:
        _, found = index.search(users, min(k + seen.shape[1], index.ntotal))
        return without(found, seen, index.ntotal, k)

    return search, {}


def without(found: np.ndarray, seen: np.ndarray, n_items: int, k: int, at_once: int = 500) -> np.ndarray:
    """The first k of what was found and not seen."""
    marked = np.zeros((at_once, n_items), dtype=bool)
    lists = []
    for start in range(0, len(found), at_once):
        some, known = found[start : start + at_once], seen[start : start + at_once]
        rows = np.arange(len(some))[:, None]
        marked[rows, known] = True
        order = np.argsort(marked[rows, some], axis=1, kind="stable")[:, :k]
        marked[rows, known] = False
        lists.append(np.take_along_axis(some, order, axis=1))
    return np.concatenate(lists)


def implicit(items: np.ndarray, k: int, threads: int) -> tuple[Search, dict[str, Any]]:
    """implicit's topk, which its models recommend with. Its threads multiply, so that BLAS has one."""
    from implicit.cpu.topk import topk

    threadpool_limits(1, "blas")

    def search(users: np.ndarray, seen: np.ndarray) -> np.ndarray:
        offsets = np.arange(len(users) + 1) * seen.shape[1]
        known = csr_matrix((np.ones(seen.size, np.float32), seen.ravel(), offsets), shape=(len(users), len(items)))
        return topk(items, users, k, filter_query_items=known, num_threads=threads)[0].astype(np.int64)

    return search, {}


def numpy(items: np.ndarray, k: int, threads: int, at_once: int = 128) -> tuple[Search, dict[str, Any]]:
    """A product, argpartition and a sort for a block of users, as many blocks at once as there are threads."""
    threadpool_limits(1, "blas")
    turned = np.ascontiguousarray(items.T)

    def block(users: np.ndarray, seen: np.ndarray) -> np.ndarray:
        scores = users @ turned
        rows = np.arange(len(users))[:, None]
        scores[rows, seen] = -np.inf
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        return np.take_along_axis(best, np.argsort(-scores[rows, best], axis=1), axis=1)

    def search(users: np.ndarray, seen: np.ndarray) -> np.ndarray:
        parts = [slice(start, start + at_once) for start in range(0, len(users), at_once)]
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(lambda part: block(users[part], seen[part]), parts)))

    return search, {}


SIDES: dict[str, tuple[Callable[..., tuple[Search, dict[str, Any]]], tuple[str, ...]]] = {
    "ours": (ours, ()),
    "faiss": (faiss, ("faiss-cpu",)),
    "implicit": (implicit, ("pm-implicit",)),
    "numpy": (numpy, ()),
}
"""Each side and the distributions, beside NumPy, whose versions are told."""


if __name__ == "__main__":
    main()
