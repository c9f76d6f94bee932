"""A function as one Ray task that has all cores of a node, with its log on the driver's."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from ray_tasks.ray_session import threads_per_actor

T = TypeVar("T")


def on_all_cores(function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
    """`function(*arguments, **keywords, threads=...)` in a Ray task. It is not tried again here."""
    import ray

    free = max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=1)
    threads = max(1, min(threads_per_actor(1), free))
    task: Any = ray.remote(num_cpus=threads, max_retries=0)(_logged)
    found: T = ray.get(task.remote(function, arguments, {**keywords, "threads": threads}))
    return found


def _logged(function: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> T:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    return function(*arguments, **keywords)
