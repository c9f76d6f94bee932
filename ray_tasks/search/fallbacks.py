"""Search without the compiled kernel: by NumPy, or by faiss where it is installed. Slower, and the same lists.

Here scores are summed in float64 and rounded once to float32. The last bits of a sum depend on how many rows are
multiplied at once; after the rounding, nothing is left of that but one case in hundreds of millions.
"""

from typing import Any

import numpy as np

from ray_tasks.interactions.rows import Ints, Rows, top_k
from ray_tasks.search.engine import Lists, Positions, Vectors, columns_of, part_of

CELLS = 2**21
"""Scores of NumPy's at once: with what the selection copies, 44 MB."""
USERS = 1024
"""Users of one call of faiss."""
SPARE = 32
"""Items beyond the list that faiss is asked for, so that few lists end among equals."""


class NumpyEngine:
    """See Engine: a product of matrices for a block of users, then a partition. The threads are those of its BLAS."""

    def __init__(self, items: Vectors, positions: Positions) -> None:
        self.items, self.positions = items[positions].astype(np.float64), positions

    def search(self, users: Vectors, k: int, seen: Rows | None, threads: int) -> Lists:  # noqa: ARG002 - see above
        """See Engine."""
        lists = Lists(np.empty((len(users), k), np.int32), np.empty((len(users), k), np.float32))
        size = max(1, CELLS // len(self.positions))
        for start in range(0, len(users), size):
            block = slice(start, min(start + size, len(users)))
            scores = (users[block].astype(np.float64) @ self.items.T).astype(np.float32)
            if seen is not None:
                scores[columns_of(part_of(seen, block.start, block.stop), self.positions)] = -np.inf
            best = top_k(scores, k)
            lists.positions[block] = np.where(best < 0, -1, self.positions[best])
            lists.scores[block] = np.where(best < 0, -np.inf, np.take_along_axis(scores, best, axis=1))
        return lists


class FaissEngine:
    """See Engine: faiss finds more than the list is long, from which what was seen is taken away.

    faiss (`IndexFlatIP`) breaks ties as it likes and its sums differ in the last bits. So what it finds is scored
    again, and where an item that it did not find could belong into a list, that user is searched by NumPy.
    """

    def __init__(self, items: Vectors, positions: Positions) -> None:
        import faiss

        self._faiss: Any = faiss
        self._exact = NumpyEngine(items, positions)
        self._index = faiss.IndexFlatIP(items.shape[1])
        self._index.add(np.ascontiguousarray(items[positions]))
        self._longest = float(np.sqrt(np.square(self._exact.items).sum(axis=1).max(initial=0)))

    def search(self, users: Vectors, k: int, seen: Rows | None, threads: int) -> Lists:
        """See Engine."""
        lists = Lists(np.full((len(users), k), -1, np.int32), np.full((len(users), k), -np.inf, np.float32))
        before = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(threads)
        try:
            doubtful = [self._block(users, start, k, seen, lists) for start in range(0, len(users), USERS)]
        finally:
            self._faiss.omp_set_num_threads(before)
        again = np.concatenate(doubtful)
        if len(again):
            found = self._exact.search(users[again], k, seen.take(again) if seen is not None else None, threads)
            lists.positions[again], lists.scores[again] = found
        return lists

    def _block(self, users: Vectors, start: int, k: int, seen: Rows | None, lists: Lists) -> Ints:
        """Fill the lists of a block of users; returns those whose list is in doubt."""
        block = np.ascontiguousarray(users[start : start + USERS])
        known = part_of(seen, start, start + len(block)) if seen is not None else None
        most_seen = int(known.lengths.max()) if known is not None else 0
        wide = min(k + most_seen + SPARE, len(self._exact.positions))
        scores, columns = self._index.search(block, wide)
        doubtful = []
        for place, user in enumerate(block.astype(np.float64)):
            unseen = columns[place]
            if known is not None:
                unseen = unseen[~np.isin(self._exact.positions[unseen], known[place])]
            exact = (self._exact.items[unseen] @ user).astype(np.float32)
            order = np.lexsort((unseen, -exact))[:k]
            lists.positions[start + place, : len(order)] = self._exact.positions[unseen[order]]
            lists.scores[start + place, : len(order)] = exact[order]
            if wide < len(self._exact.positions) and exact[order[-1]] <= scores[place, -1] + self._error(user):
                doubtful.append(start + place)
        return np.array(doubtful, dtype=np.int64)

    def _error(self, user: Any) -> float:
        """Twice what a float32 sum of these products can be off by (Higham 2002, section 3.1)."""
        return 2 * len(user) * 2.0**-24 * self._longest * float(np.sqrt(user @ user)) + 1e-37
