"""What a peer is asked, and how it answers: files in one folder. Nothing of Nightrec's is imported here.

Asked: `interactions.parquet` (user, item, time in microseconds; the log of the window), `users.parquet` (part, user),
`catalogue.parquet` (part, item), `request.json` (model, parameters, k, seed, threads, users, items). A part is a
catalogue with the users to be ranked on it; users and items are positions.

Answered: `lists.parquet` (parameters, part, user, items: best first, at most k) and `answer.json` (cpu_seconds,
peak_rss_mb, versions). A user whom a peer cannot serve, for want of a history, has no list.
"""

import json
import platform
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

LISTS = pa.schema(
    [("parameters", pa.int64()), ("part", pa.int64()), ("user", pa.int64()), ("items", pa.list_(pa.int64()))]
)


@dataclass(frozen=True)
class Part:
    """Users with a history, and the items that they may be offered; both sorted."""

    users: np.ndarray
    items: np.ndarray


@dataclass(frozen=True)
class Request:
    """A model to be fitted on a log with each of `parameters`, and whom to rank."""

    model: str
    parameters: list[dict[str, float]]
    k: int
    seed: int
    threads: int
    shape: tuple[int, int]
    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    parts: list[Part]

    @classmethod
    def read(cls, folder: Path) -> "Request":
        """From the files of a folder."""
        asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        log = _columns(folder / "interactions.parquet")
        users, items = _columns(folder / "users.parquet"), _columns(folder / "catalogue.parquet")
        known = np.bincount(log["user"], minlength=asked["users"]) > 0
        parts = []
        for part in range(asked["parts"]):
            served = np.sort(users["user"][users["part"] == part])
            parts.append(Part(served[known[served]], np.sort(items["item"][items["part"] == part])))
        told = {name: asked[name] for name in ("model", "parameters", "k", "seed", "threads")}
        return cls(**told, shape=(asked["users"], asked["items"]), **log, parts=parts)

    @cached_property
    def pairs(self) -> csr_matrix:
        """(users, items): how often a user took an item."""
        ones = np.ones(len(self.user), dtype=np.float32)
        return csr_matrix((ones, (self.user, self.item)), shape=self.shape)

    @cached_property
    def taken(self) -> csr_matrix:
        """(users, items): 1 where a user took an item at all."""
        found = self.pairs.copy()
        found.data[:] = 1
        return found


@dataclass(frozen=True)
class Ranked:
    """Lists of the users of one part by one of the parameters: (users, k) items, best first, -1 for empty places."""

    parameters: int
    part: int
    items: np.ndarray


def best(scores: np.ndarray, request: Request, part: Part, rows: slice) -> np.ndarray:
    """(users, k) items of the highest scores (users of `rows`, all items) among those allowed and not taken yet."""
    users = part.users[rows]
    closed = np.ones(request.shape[1], dtype=bool)
    closed[part.items] = False
    scores = np.where(closed, -np.inf, scores)
    seen = request.taken[users]
    scores[np.repeat(np.arange(len(users)), np.diff(seen.indptr)), seen.indices] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, : request.k]
    found = np.full((len(users), request.k), -1, dtype=np.int64)
    values = np.take_along_axis(scores, order, axis=1)
    found[:, : order.shape[1]] = np.where(np.isfinite(values), order, -1)
    return found


def answer(folder: Path, request: Request, found: Iterable[Ranked], libraries: Iterable[str]) -> None:
    """Write the lists as they come, then what they cost this process."""
    with pq.ParquetWriter(folder / "lists.parquet", LISTS) as writer:
        for ranked in found:
            writer.write_table(_table(ranked, request.parts[ranked.part].users))
    used = resource.getrusage(resource.RUSAGE_SELF)
    told: dict[str, Any] = {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_rss_mb": round(peak_kb() / 1024),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in libraries}},
    }
    (folder / "answer.json").write_text(json.dumps(told, indent=2), encoding="utf-8")


def peak_kb() -> int:
    """Largest resident memory of this process. What the system reports of its usage begins with its parent's."""
    told = Path("/proc/self/status")
    lines = told.read_text(encoding="ascii").splitlines() if told.exists() else []
    own = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return own[0] if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _table(ranked: Ranked, users: np.ndarray) -> pa.Table:
    lengths = (ranked.items >= 0).sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    items = pa.ListArray.from_arrays(pa.array(offsets), pa.array(ranked.items[ranked.items >= 0]))
    same = [pa.array(np.full(len(users), value)) for value in (ranked.parameters, ranked.part)]
    return pa.table([*same, pa.array(users), items], schema=LISTS)


def _columns(path: Path) -> dict[str, np.ndarray]:
    table = pq.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}
