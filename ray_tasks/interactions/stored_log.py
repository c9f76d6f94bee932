"""The night's log in Ray's object store: a worker reads it, and whoever hands out work asks workers about it.

A process that holds a log, and the windows that it makes of it, grows with every event. One that hands out work need
not: it has the ids, and references to what workers make.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.windows import Log, Window, read_log, window
from ray_tasks.ray_session import in_worker
from schemas.config import RunConfig
from schemas.lake import Snapshot
from schemas.night import Task


@dataclass(frozen=True)
class StoredLog:
    """A log by reference, usable until the Ray session ends; users and items are positions in its sorted ids."""

    user_ids: NDArray[np.object_]
    item_ids: NDArray[np.object_]
    reference: Any

    @classmethod
    def read(cls, task: Task) -> "StoredLog":
        """The night's log, from its `splits` and `items`."""
        import ray

        *ids, reference = in_worker(_read, task.read("splits"), task.read("items"), task.config, parts=3)
        user_ids, item_ids = ray.get(ids)
        return cls(user_ids, item_ids, reference)

    def made(self, make: Callable[..., Any], *arguments: Any, parts: int = 1) -> Any:
        """A reference to what a worker makes of the log and the arguments, or as many as that has parts."""
        return in_worker(make, self.reference, *arguments, parts=parts)

    def asked(self, make: Callable[..., Any], *arguments: Any) -> Any:
        """What a worker makes of the log and the arguments."""
        import ray

        return ray.get(self.made(make, *arguments))

    def here(self) -> Log:
        """The log itself."""
        import ray

        log: Log = ray.get(self.reference)
        return log


def users_alone(view: Window) -> Window:
    """A window with no event in its log, for those who ask about its users: ids, histories and targets."""
    return replace(view, log=view.log.where(np.zeros(len(view.log.item), dtype=bool)))


def served_window(log: Log, served: NDArray[np.object_]) -> Window:
    """The users to serve and their histories, no events."""
    return users_alone(window(log, "serving", served))


def known_at_first(log: Log) -> NDArray[np.object_]:
    """Ids of the users whom even the first window knows by an interaction."""
    return log.user_ids[np.unique(log.user[log.split == 0])]


def _read(splits: Snapshot, items: Snapshot, config: RunConfig) -> tuple[NDArray[np.object_], NDArray[np.object_], Log]:
    log = read_log(splits, items, config)
    return log.user_ids, log.item_ids, log
