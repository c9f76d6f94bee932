"""Who gets a list tonight: users with a history, and those who are known by name or request alone."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.night import Task


def served_users(task: Task, known: NDArray[np.object_]) -> NDArray[np.object_]:
    """Ids of the users to serve, sorted: all of `user_histories`, and the new ones as far as the settings allow.

    `known` are the users with an interaction before as_of, whether served or not.
    With `features.max_users` new users get the places that users with a history leave.
    """
    active = task.read("user_histories").read(["user_id"])["user_id"].to_numpy()
    features = task.config.features
    if not features.serve_new_users:
        return np.sort(active)
    described = task.read("users").read(["user_id"])
    requests = task.read("requests").read(["user_id", "timestamp"])
    room = None if features.max_users is None else max(0, features.max_users - len(active))
    return np.sort(np.concatenate([active, new_users(described, requests, known, task.config.as_of)[:room]]))


def new_users(
    described: pa.Table, requests: pa.Table, known: NDArray[np.object_], as_of: datetime
) -> NDArray[np.object_]:
    """Users of `users` and `requests` (before `as_of`) without an interaction: who asked last comes first, then by id.

    `known` are the users with an interaction before `as_of`, whether served or not.
    """
    asked = said_before(requests, as_of).select(["user_id", "timestamp"])
    everybody = pa.concat_tables([asked, described.select(["user_id"])], promote_options="default")
    found = everybody.group_by("user_id").aggregate([("timestamp", "max")])
    found = found.filter(pc.invert(pc.is_in(found["user_id"], value_set=pa.array(known, pa.string()))))
    ordered = found.sort_by([("timestamp_max", "descending"), ("user_id", "ascending")])
    return np.asarray(ordered["user_id"].to_numpy(), dtype=object)


def said_before(requests: pa.Table, as_of: datetime) -> pa.Table:
    """The requests made before an instant."""
    return requests.filter(pc.less(requests["timestamp"], pa.scalar(as_of, requests["timestamp"].type)))
