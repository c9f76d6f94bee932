"""Start and stop Ray around a task: a local cluster, or the one that RAY_ADDRESS names."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger("nightrec.ray_session")

PACKAGES = ("ray_tasks", "schemas")
SETTINGS = {
    # Workers are niced by default and would starve beside other load.
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": str(256 * 2**20), "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20)}
"""Every block of users takes arrays of some 20 MB and frees them again. By default glibc gives those back to the
system, which zeroes them for the next block: a sixth of the time that scoring a block takes, a fifth of encoding
titles."""
WORKER_SETTINGS = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", **ALLOCATOR}


@contextmanager
def ray_session() -> Iterator[None]:
    """Ray for the body of the `with`: joins RAY_ADDRESS if set, else a local cluster with all cores.

    Workers import our packages from where this process has them. Ray is disconnected (a local one stopped)
    at the end, on errors too; an error of a worker is raised as what it was there. Inside a session that is
    already running it starts nothing and stops nothing.
    """
    os.environ.update({name: value for name, value in SETTINGS.items() if name not in os.environ})
    import ray
    from ray.exceptions import RayTaskError

    if ray.is_initialized():
        yield
        return
    ray.init(**_arguments())
    _quiet_data()
    log.info("ray: %s, %s CPUs", os.environ.get("RAY_ADDRESS") or "local", int(ray.cluster_resources().get("CPU", 0)))
    try:
        yield
    except RayTaskError as error:
        # What went wrong in a worker goes by its own name; the worker's traceback is told with it.
        if isinstance(error.cause, Exception):
            raise error.cause from error
        raise
    finally:
        ray.shutdown()


def threads_per_actor(actors: int) -> int:
    """Threads that each of `actors` models on this machine may use, at least one."""
    return max(1, (os.cpu_count() or 1) // actors)


def cpus_per_actor(actors: int) -> float:
    """What to ask Ray for per actor (`num_cpus`) inside a session: at most one, and one CPU stays free of them.

    Actors that hold every CPU leave none for the tasks that read and write their rows: the pipeline would wait
    for ever.
    """
    import ray

    free = max(0.0, float(ray.cluster_resources().get("CPU", 1.0)) - 1)
    return min(1.0, int(100 * free / actors) / 100)


def cores() -> float:
    """Cores for tasks that keep one busy: a local cluster has one CPU more than the machine."""
    import ray

    return max(1.0, float(ray.cluster_resources().get("CPU", 1.0)) - 1)


def one_core_task(function: Any, *, ends_worker: bool = False) -> Any:
    """A function as a Ray task; as many of them as there are cores take all of a local cluster's CPUs.

    `ends_worker` is for few and large ones: a worker that goes on keeps gigabytes that it may never need again.
    """
    import ray

    return ray.remote(num_cpus=min(1.5, 1 + 1 / cores()), max_calls=int(ends_worker))(function)


def in_worker(make: Callable[..., Any], *arguments: Any, parts: int = 1, ends_worker: bool = False) -> Any:
    """A reference to what a worker makes, or as many as that has parts: whoever hands out work need not hold it.

    References among the arguments arrive as what they refer to. For `ends_worker` see `one_core_task`.
    """
    return one_core_task(_made, ends_worker=ends_worker).options(num_returns=parts).remote(make, *arguments)


def log_progress() -> None:
    """Ray prints what its tasks print, but sets up no logging in them."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")


def _made(make: Callable[..., Any], *arguments: Any) -> Any:
    log_progress()
    return make(*arguments)


def on_a_core(function: Callable[..., T]) -> Callable[..., T]:
    """A function that waits for a core of this machine, keeps it busy elsewhere, and returns what comes of it.

    For what reads this machine's files, from threads that shall not take more cores than Ray has given away.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def waits(*arguments: Any) -> T:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        found: T = ray.get(one_core_task(function).options(scheduling_strategy=here).remote(*arguments))
        return found

    return waits


def _arguments() -> dict[str, Any]:
    common: dict[str, Any] = {"logging_level": logging.ERROR, "ignore_reinit_error": False, "log_to_driver": True}
    address = os.environ.get("RAY_ADDRESS")
    if address:
        return {**common, "address": address, "runtime_env": {"env_vars": WORKER_SETTINGS}}
    paths = [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**WORKER_SETTINGS, "PYTHONPATH": os.pathsep.join(paths)}
    return {
        **common,
        "num_cpus": (os.cpu_count() or 1) + 1,  # one more than there are: reading and writing hardly compute
        "include_dashboard": False,
        "_temp_dir": _short_temporary_folder(),
        "runtime_env": {"env_vars": environment},
    }


def _short_temporary_folder() -> str:
    """Ray's sockets lie below it, and a socket's whole path may have 107 bytes, of which Ray needs about 65."""
    found = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return str(Path(found) / "ray") if len(found) <= 35 else "/tmp/ray"  # noqa: S108 - Ray makes its own folder in it


def _quiet_data() -> None:
    """Ray Data logs one line per stage start; the tasks log their own progress instead."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.enable_operator_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
