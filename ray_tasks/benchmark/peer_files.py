"""The files between the benchmark and a peer's process (infra/bench/peers/exchange.py describes them)."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ray_tasks.benchmark.blend import K
from ray_tasks.interactions.rows import Ints
from ray_tasks.interactions.windows import Window
from ray_tasks.retrieval.candidate_blocks import Catalogue
from schemas.errors import BenchmarkError

OURS = ("PYTHON", "MALLOC_")
"""Beginnings of variables that are meant for our own processes."""
TAIL = 2_000
"""Characters of a failed process' last words that an error quotes."""


def write_request(
    folder: Path, told: Mapping[str, Any], views: Mapping[str, Window], catalogues: Mapping[str, Catalogue | None]
) -> None:
    """The files that infra/bench/peers/exchange.py describes; parts are numbered in the order of `catalogues`."""
    known = next(iter(views.values())).log
    pq.write_table(
        pa.table({"user": known.user, "item": known.item, "time": known.time}), folder / "interactions.parquet"
    )
    users = [positions_of(views[name]) for name in catalogues]
    everything = np.arange(len(known.item_ids))
    items = [everything if allowed is None else np.flatnonzero(allowed) for allowed in catalogues.values()]
    for name, column, parts in (("users", "user", users), ("catalogue", "item", items)):
        part = np.repeat(np.arange(len(parts)), [len(one) for one in parts])
        pq.write_table(pa.table({"part": part, column: np.concatenate(parts)}), folder / f"{name}.parquet")
    sizes = {"users": len(known.user_ids), "items": len(known.item_ids), "parts": len(catalogues)}
    (folder / "request.json").write_text(json.dumps({**told, **sizes}, indent=2), encoding="utf-8")


def positions_of(view: Window) -> Ints:
    """The window's users as positions in its log."""
    return np.searchsorted(view.log.user_ids, view.user_ids).astype(np.int64)


def run_beside(python: Path, script: Path, folder: Path, what: str, threads: int = 1) -> float:
    """Run `python script folder`; returns its seconds. Raises BenchmarkError with its last words when it fails.

    It gets none of our import path and none of what we tell the allocator: its environment is its own.
    """
    if not python.exists():
        raise BenchmarkError(f"{what}: no interpreter {python}; run `make peers`, or leave the peers out (--no-peers)")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    # Threads that wait for each other sleep: spinning, they took ten times as long where other programs had a turn.
    environment |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    environment |= {"TQDM_DISABLE": "1", "PYTHONHASHSEED": "0"}
    words, started = folder / "words.txt", time.monotonic()
    with words.open("wb") as out:
        command = [str(python), "-s", str(script), str(folder)]
        code = subprocess.run(command, env=environment, stdout=out, stderr=out, check=False).returncode
    # A trainer that is told to stop (SIGTERM) ends with 0, and without an answer.
    if code or not (folder / "answer.json").exists():
        said = words.read_text(encoding="utf-8", errors="replace")[-TAIL:]
        raise BenchmarkError(
            f"{what}: {script.name} ended with {code} and no answer; its request is kept in {folder}, its last words:\n"
            f"{said}"
        )
    return time.monotonic() - started


def read_lists(table: pa.Table, view: Window, catalogue: Catalogue | None, model: str) -> Ints:
    """(users, K) item positions of one answer, -1 for empty places.

    Raises BenchmarkError where it breaks the rules: everybody ranks the same users on the same items.
    """
    served, user = positions_of(view), table["user"].to_numpy()
    lengths = np.asarray(pa.compute.list_value_length(table["items"]), dtype=np.int64)
    items = np.asarray(pa.compute.list_flatten(table["items"]), dtype=np.int64)
    if (~np.isin(user, served)).any() or len(np.unique(user)) < len(user) or (lengths > K).any():
        raise BenchmarkError(f"{model}: expected one list of at most {K} items for each user asked for, found others")
    row = np.searchsorted(served, user)
    of_list = np.repeat(row, lengths)
    _check(of_list, items, view, catalogue, model)
    lists = np.full((len(served), K), -1, dtype=np.int64)
    lists[of_list, np.arange(len(items)) - np.repeat(np.cumsum(lengths) - lengths, lengths)] = items
    return lists


def _check(row: Ints, items: Ints, view: Window, catalogue: Catalogue | None, model: str) -> None:
    width = len(view.log.item_ids)
    allowed = np.ones(width, dtype=bool) if catalogue is None else catalogue
    outside = (items < 0) | (items >= width)
    outside[~outside] = ~allowed[items[~outside]]
    pairs = row * width + items
    problems: dict[str, NDArray[np.bool_]] = {
        "outside the catalogue": outside,
        "already taken by the user": np.isin(pairs, view.history.row_of * width + view.history.items),
        "twice in a list": np.unique(pairs, return_counts=True)[1] > 1,
    }
    found = [f"{int(bad.sum())} items {words}" for words, bad in problems.items() if bad.any()]
    if found:
        raise BenchmarkError(f"{model}: expected unseen items of the catalogue, each once; found {', '.join(found)}")
