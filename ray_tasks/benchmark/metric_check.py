"""Nightrec's metrics against a second implementation (ranx), on the same lists and targets, user by user."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ray_tasks.benchmark.peer_files import run_beside
from ray_tasks.interactions.metrics import mrr, ndcg, recall
from ray_tasks.interactions.rows import Ints, Rows
from schemas.errors import BenchmarkError

METRICS = {"ndcg@10": ndcg, "recall@20": recall, "mrr@20": mrr}
TOLERANCE = 1e-6
MOST_USERS = 5_000
"""Users whose values are compared: ranx takes minutes for more, and a definition that differs shows on any of them."""


def metric_check(python: Path, script: Path, folder: Path, lists: Mapping[str, Ints], targets: Rows) -> dict[str, Any]:
    """`library`, `version`, `models`, `users`, and `max_abs_difference` of any user's value of any metric.

    `lists` are (users, K) item positions by model; of more users than MOST_USERS, so many are checked, evenly spread.
    `script` is infra/bench/peers/check.py, run by `python`. Raises BenchmarkError beyond TOLERANCE, naming model,
    metric and user.
    """
    users = np.unique(np.linspace(0, len(targets) - 1, min(len(targets), MOST_USERS)).astype(np.int64))
    lists, targets = {model: ranked[users] for model, ranked in lists.items()}, targets.take(users)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = pa.concat_tables([_table(ranked, model) for model, ranked in lists.items()])
    pq.write_table(rows, folder / "lists.parquet")
    pq.write_table(_rows(targets), folder / "targets.parquet")
    run_beside(python, script, folder, "metric check")
    theirs = pq.read_table(folder / "values.parquet")
    told = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    worst = max((_worst(theirs, model, ranked, targets, users) for model, ranked in lists.items()), default=(0.0, ""))
    if worst[0] > TOLERANCE:
        raise BenchmarkError(
            f"metric check: {worst[1]}, by {told['library']} {told['version']}; expected no difference above "
            f"{TOLERANCE}. Compare the definitions in ray_tasks/interactions/metrics.py; the lists are in {folder}"
        )
    shutil.rmtree(folder)
    return {**told, "models": sorted(lists), "users": len(targets), "max_abs_difference": worst[0]}


def _worst(theirs: pa.Table, model: str, ranked: Ints, targets: Rows, users: Ints) -> tuple[float, str]:
    """The largest difference of a model's values, and where it is; `users` are the rows' places among all users."""
    own = theirs.filter(pc.equal(theirs["model"], model)).sort_by("user")
    if own["user"].to_pylist() != list(range(len(targets))):
        return np.inf, f"{model}: {own.num_rows} of {len(targets)} users have a value"
    found = []
    for name, metric in METRICS.items():
        values, other = metric(ranked, targets), own[name].to_numpy()
        apart = np.nan_to_num(np.abs(values - other), nan=np.inf)
        at = int(np.argmax(apart))
        said = f"{model}: {name} of user {users[at]} is {values[at]:.9f} here, {other[at]:.9f} there"
        found.append((float(apart[at]), said))
    return max(found)


def _table(ranked: Ints, model: str) -> pa.Table:
    full = ranked >= 0
    rows = _rows(Rows.of(np.nonzero(full)[0], ranked[full], len(ranked)))
    return rows.add_column(0, "model", pa.repeat(model, rows.num_rows))


def _rows(rows: Rows) -> pa.Table:
    items = pa.ListArray.from_arrays(pa.array(rows.offsets, pa.int32()), pa.array(rows.items))
    return pa.table({"user": pa.array(np.arange(len(rows))), "items": items})
