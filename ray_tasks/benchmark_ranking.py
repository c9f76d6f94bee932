"""Task `benchmark_ranking`: the ranking benchmark on the interactions and texts of the last published night."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.fs import LocalFileSystem

from ray_tasks.benchmark.published import measured, read_dataset, read_item_texts, refuse_too_little
from ray_tasks.benchmark.report.figures import Result, headline
from ray_tasks.benchmark.rows import Row, evaluation_rows
from ray_tasks.benchmark.run import Comparison
from ray_tasks.benchmark.tracking import documents, file_name, track
from ray_tasks.ray_session import ray_session
from schemas.benchmark import Benchmark, load_benchmark
from schemas.config import RunConfig
from schemas.errors import ConfigError
from schemas.night import Task, night_task, run_folder, task_arguments
from schemas.published import PublishedNight
from schemas.stage_files import write_rows
from schemas.storage import resolve, write_text
from schemas.tables import TABLES
from schemas.usage import UsageMeter

log = logging.getLogger("nightrec.benchmark")

TABLE = "benchmark_evaluations"


def main() -> None:
    """Run the task for the configuration on the command line."""
    with night_task("benchmark_ranking", task_arguments(__doc__ or "")) as task:
        benchmark_ranking(task, load_benchmark(task.config))


def benchmark_ranking(task: Task, asked: Benchmark) -> dict[str, Result]:
    """Compare under each protocol, publish `benchmark_evaluations`, keep page and JSON in the run's folder and MLflow.

    Returns the results by protocol. Raises NothingToDo where the night is too small to measure anybody.
    """
    config, night = task.config, PublishedNight.last(task)
    results: dict[str, Result] = {name: compare(night, config, name, asked.users) for name in asked.protocols}
    rows = [row for protocol, result in results.items() for row in evaluation_rows(result, protocol)]
    publish(task, rows)
    folder = run_folder(config.lake, config.run_id)
    for protocol, result in results.items():
        log.info("%s: %s", protocol, headline(result)[1])
        for ending, text in documents(result, protocol):
            write_text(f"{folder}/{file_name(protocol)}.{ending}", text)
    told = {protocol: headline(result)[1] for protocol, result in results.items()}
    task.counters.update(outcome=told, mlflow_run=track(config, results, rows), folder=folder)
    return results


def publish(task: Task, rows: list[Row]) -> None:
    """The night's rows of TABLE."""
    stage = task.stage(TABLE)
    write_rows(stage, pa.Table.from_pylist(rows, schema=TABLES[TABLE].schema))
    task.publish(stage)


def compare(night: PublishedNight, config: RunConfig, protocol: str, users: int | None) -> Result:
    """The comparison's result on the night, with what a reader must know of where it is from."""
    data = read_dataset(night, config.source.name, config.evaluation.min_rating)
    data = replace(data, log=measured(data.log, protocol, users, config.seed))
    refuse_too_little(data.log, protocol)
    texts = read_item_texts(night, data, protocol, config.evaluation)
    log.info("%s: %s interactions, %s items", protocol, f"{len(data.log.time):,}", f"{len(data.log.item_ids):,}")
    with ray_session(), scratch(config) as folder, UsageMeter() as meter:
        result = Comparison(data, texts, protocol, config.seed, folder, **settings(config)).run()
        usage = meter.read()
    return {
        **result,
        "data": config.source.name,
        "night": night.manifest.run_date.isoformat(),
        "protocol": protocol,
        "seconds": usage["seconds"],
        "peak_rss_mb": usage["peak_rss_mb"],
        "data_sha256": data.sha256,
        "seed": config.seed,
        "users_asked": users,
        "configuration": {name: found.model_dump(mode="json") for name, found in settings(config).items()},
    }


def settings(config: RunConfig) -> dict[str, Any]:
    """The sections of the night's configuration that a comparison takes: its sources, grids and ranker."""
    return {"candidates": config.candidates, "ranking": config.ranking}


@contextmanager
def scratch(config: RunConfig) -> Iterator[Path]:
    """A folder, inside a Ray session, for the blocks of users that workers write and this process reads.

    It lies beside the run's records where the lake is a folder. Blocks do not travel through an object store: raises
    ConfigError for such a lake on a cluster of several machines, whose blocks this process would not find.
    """
    filesystem, path = resolve(run_folder(config.lake, config.run_id))
    is_folder = isinstance(filesystem, LocalFileSystem)
    if not is_folder and (machines := _machines()) > 1:
        raise ConfigError(
            "benchmark",
            [
                f"lake: {config.lake} is an object store and the Ray cluster has {machines} machines; "
                "run the benchmark on a Ray of one machine (unset RAY_ADDRESS), or with a lake in a shared folder"
            ],
        )
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=path if is_folder else None) as name:
        yield Path(name)


def _machines() -> int:
    import ray

    return sum(bool(node["Alive"]) for node in ray.nodes())


if __name__ == "__main__":
    main()
