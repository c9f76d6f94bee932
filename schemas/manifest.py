"""The manifest: the table `runs`, whose rows name which version of which table belongs to a night.

Its row is committed last: a night without one does not exist for consumers, who read

    manifest = read_manifest("s3://lake", date(2026, 11, 22))
    DeltaTable("s3://lake/recommendations", version=manifest.versions["recommendations"])

and then keep the rows of `run_date`. Going back to an earlier state of a night is one more row.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from schemas.content_hash import content_hash
from schemas.errors import LakeError
from schemas.lake import Lake
from schemas.night import Task, audit_files, code_version, night_task, task_records
from schemas.stage_files import write_rows
from schemas.tables import OUTSIDE, TABLES

log = logging.getLogger("nightrec.manifest")

TASK = "publish_night"
AFTERWARDS = (TASK, "report")
"""Tasks that publish nothing a manifest names; an earlier failure of theirs must not keep a night back."""
RUNS = TABLES["runs"]


@dataclass(frozen=True)
class TableVersion:
    """One table of a night: its pinned version, and how many rows with which content the night has in it."""

    table: str
    version: int
    rows: int
    content_hash: str


@dataclass(frozen=True)
class Manifest:
    """One row of `runs`: what consumers may read of a night."""

    run_date: date
    run_id: str
    sequence: int
    published_at: datetime
    config_hash: str
    code_version: str
    tables: dict[str, TableVersion]

    @property
    def versions(self) -> dict[str, int]:
        """Version to read of each table."""
        return {name: table.version for name, table in self.tables.items()}


def read_manifest(lake: str, run_date: date, sequence: int | None = None) -> Manifest:
    """The manifest of a night: its newest row, or the one with a sequence number.

    Raises LakeError when the night has not been published, or has no such row.
    """
    rows = _rows(Lake(lake), run_date)
    found = [row for row in rows if sequence in (None, row["sequence"])]
    if not rows:
        raise LakeError(f"night {run_date} has not been published in {lake}: table runs has no row of it")
    if not found:
        known = ", ".join(str(row["sequence"]) for row in rows)
        raise LakeError(f"night {run_date} has no row {sequence} in table runs of {lake}; it has {known}")
    row = found[-1]
    tables = {entry["table"]: TableVersion(**entry) for entry in row["tables"]}
    return Manifest(run_date=run_date, **{**row, "tables": tables})


def newest_manifest(lake: Lake, until: date) -> Manifest | None:
    """The manifest of the newest night up to a date that has been published; None if there is none."""
    newest = lake.latest(RUNS.name, until)
    return read_manifest(lake.root, newest.run_date) if newest else None


def publish_night(config_uri: str) -> dict[str, Any]:
    """Append the night's row to `runs`, naming every table's version that this run's tasks published.

    Nothing is appended when the newest row tells of the same configuration, the same code and the same content of every
    table: its versions hold it as well. Where others have made the same content, their run has a row of its own, so
    that later runs compare themselves with it. Returns what was published: `rows`, `version`, `changed`,
    `content_hash` of table `runs`.
    Raises LakeError naming the tables and tasks that are missing or failed.
    """
    with night_task(TASK, config_uri) as task:
        tables = _tables_of_run(task)
        earlier = _rows(task.lake, task.config.night)
        row = {
            "run_id": task.config.run_id,
            "config_hash": task.config.config_hash,
            "code_version": code_version(),
            "tables": tables,
        }
        if earlier and _told(earlier[-1]) == _told(row):
            _leave_as_it_is(task, earlier)
        else:
            # The stage comes before the rows it repeats: a row that another publisher adds in between is a conflict.
            stage = task.stage(RUNS.name)
            rows = [*_rows(task.lake, task.config.night), _numbered(task.lake, row)]
            write_rows(stage, pa.Table.from_pylist(rows, schema=RUNS.schema))
            task.publish(stage)
        return dict(task.outputs[RUNS.name])


def go_back(lake: str, run_date: date, sequence: int) -> Manifest:
    """Make an earlier row of a night count again, by appending a copy of it. Returns the new row.

    The tables themselves are not touched: the copy names the same versions as the earlier row.
    Raises LakeError when the night has no such row, PublishConflict when it is published at the same time.
    """
    place = Lake(lake)
    source = read_manifest(lake, run_date, sequence)
    number = _next_sequence(place)
    stage = place.stage(RUNS.name, run_date, f"go-back-{number}")
    rows = _rows(place, run_date)
    copy = next(row for row in rows if row["sequence"] == sequence)
    write_rows(stage, pa.Table.from_pylist([*rows, _numbered(place, copy)], schema=RUNS.schema))
    place.publish(stage, audit_files, {"task": "go_back", "run_id": source.run_id, "copy_of": sequence})
    log.info("night %s: row %s counts again, as row %s", run_date, sequence, number)
    return read_manifest(lake, run_date)


def _tables_of_run(task: Task) -> list[dict[str, Any]]:
    """What the run's tasks published, one entry per table but `runs`, in the order of TABLES."""
    records = {name: record for name, record in task_records(task.config).items() if name not in AFTERWARDS}
    outputs: dict[str, Mapping[str, Any]] = {}
    for record in records.values():
        outputs.update(record["outputs"])
    missing = [name for name in TABLES if name not in (RUNS.name, *OUTSIDE, *outputs)]
    failed = [name for name, record in records.items() if record["status"] != "success"]
    if missing or failed:
        raise LakeError(
            f"run {task.config.run_id} cannot be published. Tables that no task has published: "
            f"{', '.join(missing) or 'none'}. Tasks that failed: {', '.join(failed) or 'none'}. "
            f"Tasks that have run: {', '.join(records) or 'none'}. Run the tasks that are missing, then this one again."
        )
    names = [name for name in TABLES if name in outputs and name != RUNS.name]
    return [
        {"table": name, **{key: outputs[name][key] for key in ("version", "rows", "content_hash")}} for name in names
    ]


def _leave_as_it_is(task: Task, earlier: list[dict[str, Any]]) -> None:
    published = task.lake.snapshot(RUNS.name, task.config.night)
    task.outputs[RUNS.name] = {
        "version": published.version,
        "rows": len(earlier),
        "content_hash": content_hash(published.dataset()),
        "changed": False,
    }
    log.info("unchanged: row %s already names the same content of every table", earlier[-1]["sequence"])


def _told(row: Mapping[str, Any]) -> tuple[str, str, dict[str, tuple[int, str]]]:
    """What a row tells beside its run, its versions and when it was published."""
    content = {entry["table"]: (entry["rows"], entry["content_hash"]) for entry in row["tables"]}
    return row["config_hash"], row["code_version"], content


def _rows(lake: Lake, run_date: date) -> list[dict[str, Any]]:
    """The rows of a night, the newest last; none while it has not been published."""
    newest = lake.latest(RUNS.name, run_date)
    return newest.read().to_pylist() if newest and newest.run_date == run_date else []


def _numbered(lake: Lake, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the next of the table. When it was published is the only wall-clock time in the lake's tables."""
    return {**row, "sequence": _next_sequence(lake), "published_at": datetime.now(UTC)}


def _next_sequence(lake: Lake) -> int:
    table = lake.open(RUNS.name)
    dates = [date.fromisoformat(part["run_date"]) for part in table.partitions()] if table else []
    return 1 + max((row["sequence"] for night in dates for row in _rows(lake, night)), default=0)
