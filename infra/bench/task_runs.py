"""A night's tasks one after the other without Airflow, each a process of its own, for benchmarks."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schemas.config import RunConfig
from schemas.night import save_config, task_records

HOME = Path(__file__).resolve().parents[2]
NIGHT_TASKS = (
    "jobs/ingest.py",
    "jobs/features.py",
    "ray_tasks.vocabularies",
    "ray_tasks.item_profiles",
    "ray_tasks.user_profiles",
    "ray_tasks.embeddings",
    "ray_tasks.candidates",
    "ray_tasks.ranking",
    "ray_tasks.explanations",
    "ray_tasks.request_recommendations",
    "jobs/evaluation.py",
    "jobs/experiment_readouts.py",
)
"""All tasks that publish, in their order: a Spark job's file or a module."""
DRIVER_MEMORY = "3g"
"""Of Spark, as a night has it by default."""


def run_tasks(config: RunConfig, tasks: Iterable[str] = NIGHT_TASKS) -> str:
    """Run tasks of a night; returns where its configuration lies.

    Raises CalledProcessError when one fails.
    """
    uri = save_config(config)
    spark = f"--master local[{os.cpu_count() or 1}] --driver-memory {DRIVER_MEMORY}"
    environment = {**os.environ, "PYSPARK_SUBMIT_ARGS": f"{spark} pyspark-shell", "PYSPARK_PYTHON": sys.executable}
    for task in tasks:
        print(f"{config.run_id} {config.night} {task}", flush=True)
        command = [task] if task.endswith(".py") else ["-m", task]
        subprocess.run([sys.executable, *command, "--config", uri], check=True, cwd=HOME, env=environment)
    return uri


def costs(config: RunConfig) -> dict[str, dict[str, Any]]:
    """What each task of a run took, by name: the figures of its last attempt."""
    names = ("seconds", "cpu_seconds", "peak_rss_mb", "driver_rss_mb", "rows_read", "rows_written")
    return {
        task: {name: record[name] for name in names} | {"repeats": record["counters"].get("repeats")}
        for task, record in task_records(config).items()
    }
