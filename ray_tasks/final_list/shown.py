"""What users were shown night after night and did not click on: it makes room for something else."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ray_tasks.interactions.rows import Floats, Ints, places
from ray_tasks.ranker.features import Lists
from schemas.night import Task

DAYS = 60
"""How far back impressions are looked at."""


def read_shown(task: Task, user_ids: NDArray[np.object_], item_ids: NDArray[np.object_]) -> "csr_matrix[Any]":
    """(users, items): on how many days before as_of the user was shown the item since the last click on it."""
    since = pa.scalar(task.config.as_of - timedelta(days=DAYS), pa.timestamp("us", tz="UTC"))
    wanted = pc.field("kind").isin(["impression", "click"]) & (pc.field("timestamp") >= since)
    columns = ["user_id", "item_id", "timestamp", "kind"]
    return shown(task.read("feedback").dataset().to_table(columns=columns, filter=wanted), user_ids, item_ids)


def shown(feedback: pa.Table, user_ids: NDArray[np.object_], item_ids: NDArray[np.object_]) -> "csr_matrix[Any]":
    """The same, from impressions and clicks; users and items that are not among the sorted ids are left out."""
    user, item = (
        places(feedback[name].to_numpy(), ids) for name, ids in (("user_id", user_ids), ("item_id", item_ids))
    )
    known = (user >= 0) & (item >= 0)
    cell = (user * len(item_ids) + item)[known]
    time = feedback["timestamp"].cast(pa.int64()).to_numpy()[known]
    is_click = np.asarray(pc.equal(feedback["kind"], "click").to_numpy(), dtype=bool)[known]
    numbers, at = np.unique(cell, return_inverse=True)
    last_click = np.full(len(numbers), np.iinfo(np.int64).min)
    np.maximum.at(last_click, at[is_click], time[is_click])
    counts = ~is_click & (time > last_click[at])
    day = np.unique(np.stack([at[counts], time[counts] // 86_400_000_000]), axis=1)
    days = np.bincount(day[0], minlength=len(numbers))
    cells = numbers[days > 0]
    shape = len(user_ids), len(item_ids)
    return csr_matrix((days[days > 0], (cells // len(item_ids), cells % len(item_ids))), shape=shape)


def demoted(lists: Lists, scores: Floats, days: Ints, patience: int, per_day: int) -> Floats:
    """Scores by which candidates move down that were shown on more than `patience` days in vain, for each by `per_day`.

    Such a candidate takes a score just below that of the one whose place it moves to; all other scores stay. NaN, which
    is no score, stays as well.
    """
    down = per_day * np.maximum(days - patience, 0)
    rows = np.flatnonzero((down > 0) & ~np.isnan(scores))
    if not len(rows):
        return scores
    user, starts = lists.user_of, lists.starts
    order = np.lexsort((-scores, user))  # NaN comes last
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - starts[user[order]]
    last = np.bincount(user[~np.isnan(scores)], minlength=len(lists)) - 1
    target = np.minimum(place[rows] + down[rows], last[user[rows]])
    below = scores[order[starts[user[rows]] + target]]
    result = scores.copy()
    result[rows] = np.nextafter(below, -np.inf)
    return result
