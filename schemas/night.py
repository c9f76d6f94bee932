"""A task of a night: what it reads is pinned, what it publishes is audited, and what it did is recorded.

Every Spark and Ray task runs inside `with night_task(name, config_uri) as task:`. On leaving, one JSON record
lands in `<lake>/_runs/<run_id>/tasks/<name>.json`: the only channel between tasks of one night besides tables.
"""

import argparse
import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from schemas.code_digest import code_digest
from schemas.config import RunConfig
from schemas.content_hash import undated
from schemas.errors import LakeError
from schemas.lake import Lake, Published, Snapshot, Stage, staged_dataset
from schemas.storage import list_files, read_text, write_text
from schemas.table import Table
from schemas.usage import UsageMeter

log = logging.getLogger("nightrec")


def run_folder(lake: str, run_id: str) -> str:
    """Where a run keeps its frozen configuration and its tasks' records."""
    return f"{lake.rstrip('/')}/_runs/{safe_name(run_id)}"


def safe_name(run_id: str) -> str:
    """A run id as part of a path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", run_id)


def save_config(config: RunConfig) -> str:
    """Write the frozen configuration of a run and return its URI."""
    uri = f"{run_folder(config.lake, config.run_id)}/config.json"
    write_text(uri, config.model_dump_json(indent=2))
    return uri


def load_config(uri: str) -> RunConfig:
    """Read a frozen configuration."""
    return RunConfig.model_validate_json(read_text(uri))


@dataclass
class Task:
    """One task of one night, as its code sees it.

    `published` is what other tasks of the run have published by table: `version`, `rows`, `bytes`, `content_hash`.
    `counters` is for figures that the report shows (tokens, profiles, ...); names are `snake_case`. `recipe` is what
    decides the task's rows beside the tables that it reads (`schemas.repeat`); None if it never repeats a night.
    """

    name: str
    config: RunConfig
    lake: Lake
    published: dict[str, dict[str, Any]]
    attempt: str
    counters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    recipe: str | None = None

    def read(self, table: str) -> Snapshot:
        """This night's partition of a table, at the version that this run published.

        Raises LakeError when no task of this run has published it.
        """
        if table not in self.published:
            raise LakeError(
                f"task {self.name} needs table {table}, which no task of run {self.config.run_id} published"
            )
        snapshot = self.lake.snapshot(table, self.config.night, self.published[table]["version"])
        self.inputs[table] = snapshot.version
        return snapshot

    def previous(self, table: str) -> Snapshot | None:
        """What earlier attempts or nights published of a table, newest first: the ground for reuse."""
        return self.lake.latest(table, self.config.night)

    def stage(self, table: str) -> Stage:
        """Begin the night's partition of a table; write Parquet files below `stage.uri`, then publish it."""
        return self.lake.stage(table, self.config.night, self.attempt)

    def publish(self, stage: Stage) -> Published:
        """Audit and commit a stage."""
        published = self.lake.publish(
            stage,
            audit_files,
            {
                "run_id": self.config.run_id,
                "task": self.name,
                "config_hash": self.config.config_hash,
                "code_version": code_version(),
                "inputs": dict(self.inputs),
            },
        )
        self.outputs[published.table] = {k: v for k, v in asdict(published).items() if k != "table"}
        state = "published" if published.changed else "unchanged"
        log.info("%s %s: %s rows, version %s", state, published.table, f"{published.rows:,}", published.version)
        return published


def audit_files(table: Table, files: list[str]) -> list[str]:
    """Failures of staged files against the table's expectations, in words."""
    from schemas.contracts import audit

    return audit(table, staged_dataset(table, files))


@contextmanager
def night_task(name: str, config_uri: str) -> Iterator[Task]:
    """Run the body as a task of the night and record how it went, success or not."""
    config = load_config(config_uri)
    records = task_records(config)
    published = {table: found for r in records.values() if r["name"] != name for table, found in r["outputs"].items()}
    attempt = f"{safe_name(config.run_id)}-{records.get(name, {}).get('attempt', 0) + 1}"
    task = Task(name, config, Lake(config.lake), published, attempt)
    started, error = time.time(), None
    log.info("task %s, attempt %s", name, attempt.rpartition("-")[2])
    with UsageMeter() as meter:
        try:
            yield task
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}"
            raise
        finally:
            # A task outside the night reads what earlier nights published: of that it knows the versions only.
            read = {table: published[table] for table in task.inputs if table in published}
            record = {
                "name": name,
                "status": "failed" if error else "success",
                "error": error,
                "attempt": int(attempt.rsplit("-", 1)[1]),
                "started": started,
                "inputs": task.inputs,
                "input_contents": {table: undated(found["content_hash"]) for table, found in read.items()},
                "recipe": task.recipe,
                "outputs": task.outputs,
                **_moved("read", list(read.values())),
                **_moved("written", list(task.outputs.values())),
                "counters": task.counters,
                **meter.read(),
            }
            write_text(_record_uri(config, name), json.dumps(record, indent=2, default=str))


def _moved(way: str, tables: list[dict[str, Any]]) -> dict[str, int]:
    """Rows and Parquet bytes of the tables that a task has read or written."""
    return {f"{what}_{way}": sum(table.get(what, 0) for table in tables) for what in ("rows", "bytes")}


def task_records(config: RunConfig) -> dict[str, dict[str, Any]]:
    """The records of a run's tasks by name, in the order in which they started."""
    uris = list_files(f"{run_folder(config.lake, config.run_id)}/tasks", ".json")
    records = [json.loads(read_text(uri)) for uri in uris]
    return {record["name"]: record for record in sorted(records, key=lambda r: r["started"])}


def _record_uri(config: RunConfig, name: str) -> str:
    return f"{run_folder(config.lake, config.run_id)}/tasks/{name}.json"


def code_version() -> str:
    """Version of the installed code, and the beginning of its source's digest: two checkouts of one version differ."""
    try:
        released = version("nightrec")
    except PackageNotFoundError:
        released = "unknown"
    return f"{released}+{code_digest()[:12]}"


def task_arguments(description: str, argv: list[str] | None = None) -> str:
    """Parse the one argument that every task takes, and set up its log; returns the configuration's URI."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", required=True, help="URI of the frozen configuration of the run")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    return str(parser.parse_args(argv).config)
