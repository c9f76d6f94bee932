"""The only way in and out of Delta: stage, audit, publish; and pinned reads.

An engine writes Parquet with its own distributed writer into a *stage*, a folder inside the table's own
partition that no Delta reader can see. The audit runs on those files. One delta-rs commit then adds them and
removes the partition's earlier files. Rows never pass through this process on their way into the table.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction
from numpy.typing import NDArray

from schemas.content_hash import content_hash
from schemas.errors import AuditFailed, LakeError, PublishConflict, SchemaMismatch
from schemas.small_files import join_small_files
from schemas.storage import delete_folder, file_size, is_free, list_files, resolve
from schemas.table import PARTITION, Table
from schemas.tables import TABLES

Audit = Callable[[Table, list[str]], list[str]]
"""Checks staged files against a table's suite and returns the failures in words."""


@dataclass(frozen=True)
class Snapshot:
    """One partition of a table, pinned to a version of the table."""

    table: str
    run_date: date
    version: int
    uris: tuple[str, ...]
    storage_options: Mapping[str, str] = field(default_factory=dict)

    def dataset(self) -> ds.Dataset:
        """The partition's rows as an Arrow dataset in the table's schema (without the partition column)."""
        schema = TABLES[self.table].schema
        if not self.uris:
            return ds.dataset(pa.Table.from_pylist([], schema=schema))
        filesystem, _ = resolve(self.uris[0])
        return ds.dataset([resolve(uri)[1] for uri in self.uris], schema=schema, filesystem=filesystem)

    def read(self, columns: list[str] | None = None, where: pc.Expression | None = None) -> pa.Table:
        """The partition's rows that fulfil `where`, in key order: what follows does not depend on how files lie."""
        table = self.dataset().to_table(columns=columns, filter=where)
        keys = [key for key in TABLES[self.table].key if columns is None or key in columns]
        return table.sort_by([(key, "ascending") for key in keys]) if keys else table


def of_ids(column: str, ids: Sequence[str] | NDArray[np.object_]) -> pc.Expression:
    """Rows of ids, at least one, which are sorted: by the first and the last of them row groups are left out."""
    one = pc.field(column)
    return (one >= str(ids[0])) & (one <= str(ids[-1])) & one.isin(pa.array(ids, pa.string()))


@dataclass(frozen=True)
class Stage:
    """Where one attempt writes the files of one partition. `expected` is the partition's state when it began."""

    table: Table
    run_date: date
    attempt: str
    uri: str
    expected: int


@dataclass(frozen=True)
class Published:
    """A partition as committed; `bytes` are those of its Parquet files.

    `changed` is False when it already held the same content: nothing was committed.
    """

    table: str
    version: int
    rows: int
    bytes: int
    content_hash: str
    changed: bool


class Lake:
    """Delta tables below one root, a local folder or an object store."""

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = root.rstrip("/")
        self.storage_options = dict(storage_options or {})

    def uri(self, table: str) -> str:
        """URI of a table."""
        return f"{self.root}/{table}"

    def open(self, table: str, version: int | None = None) -> DeltaTable | None:
        """The table, at a version or its newest; None while it does not exist.

        Raises LakeError where the version cannot be read, as when the table's log was cleaned up since.
        """
        try:
            return DeltaTable(self.uri(table), version=version, storage_options=self.storage_options)
        except TableNotFoundError:
            return None
        except DeltaError as error:
            wanted = "its newest version" if version is None else f"version {version}"
            raise LakeError(f"table {table} in {self.root}: {wanted} cannot be read: {error}") from error

    def stage(self, name: str, run_date: date, attempt: str) -> Stage:
        """Begin an attempt at one partition. The folder is the engine's to create."""
        table = self.open(name)
        expected = (table.transaction_version(_application(name, run_date)) or 0) if table else 0
        folder = f"{self.uri(name)}/{PARTITION}={run_date.isoformat()}/{attempt}"
        # A process that was killed may have left files there; they are never mixed with this attempt's.
        uri = next(u for n in itertools.count() if is_free(u := f"{folder}.{n}" if n else folder))
        return Stage(TABLES[name], run_date, attempt, uri, expected)

    def snapshot(self, name: str, run_date: date, version: int | None = None) -> Snapshot:
        """Pin one partition. Raises LakeError when the table has no such partition at that version."""
        table = self.open(name, version)
        uris = table.file_uris([(PARTITION, "=", run_date.isoformat())]) if table else []
        if table is None or not (uris or table.transaction_version(_application(name, run_date))):
            raise LakeError(
                f"table {name} has no partition {PARTITION}={run_date} at version {version} in {self.root}: "
                "run the task that publishes it first"
            )
        return Snapshot(name, run_date, table.version(), tuple(sorted(uris)), self.storage_options)

    def latest(self, name: str, run_date: date) -> Snapshot | None:
        """The newest partition that the night may know: its own if published, else the last one before it."""
        table = self.open(name)
        if table is None:
            return None
        dates = sorted(date.fromisoformat(p[PARTITION]) for p in table.partitions())
        known = [d for d in dates if d <= run_date]
        return self.snapshot(name, known[-1]) if known else None

    def publish(self, stage: Stage, audit: Audit, metadata: Mapping[str, Any]) -> Published:
        """Audit the staged files, the small ones joined, and commit them as the partition's whole content.

        `metadata` goes into the commit: run id, config hash, code version, versions of the input tables.
        Raises SchemaMismatch or AuditFailed (nothing is committed, the files are kept), PublishConflict when
        another attempt published the partition since this one began.
        """
        staged = list_files(stage.uri, ".parquet")
        counts = check_schema(stage.table, staged, stage.uri)
        files = join_small_files(staged, stage.table.schema)
        if files != staged:
            counts = check_schema(stage.table, files, stage.uri)
        failures = audit(stage.table, files)
        if failures:
            raise AuditFailed(stage.table.name, failures, stage.uri)
        digest = content_hash(staged_dataset(stage.table, files))
        table = self._open_or_create(stage.table)
        application = _application(stage.table.name, stage.run_date)
        found = table.transaction_version(application) or 0
        if found != stage.expected:
            raise PublishConflict(
                stage.table.name, stage.run_date.isoformat(), f"expected attempt {stage.expected}, found {found}"
            )
        rows, size = sum(counts), sum(map(file_size, files))
        if found and self._published_hash(table, application) == digest:
            delete_folder(stage.uri)
            return Published(stage.table.name, table.version(), rows, size, digest, changed=False)
        version = self._commit(table, stage, files, counts, {**metadata, "content_hash": digest})
        return Published(stage.table.name, version, rows, size, digest, changed=True)

    def _open_or_create(self, table: Table) -> DeltaTable:
        found = self.open(table.name)
        if found is not None:
            return found
        try:
            return DeltaTable.create(
                self.uri(table.name),
                schema=table.delta_schema,
                mode="ignore",
                partition_by=[PARTITION],
                description=table.description,
                storage_options=self.storage_options,
            )
        except DeltaError as error:
            raise LakeError(f"cannot create table {table.name} in {self.root}: {error}") from error

    def _commit(
        self, table: DeltaTable, stage: Stage, files: list[str], counts: list[int], metadata: Mapping[str, Any]
    ) -> int:
        partition = {PARTITION: stage.run_date.isoformat()}
        application = _application(stage.table.name, stage.run_date)
        properties = CommitProperties(
            custom_metadata={"nightrec": json.dumps({"application": application, **metadata}, default=str)},
            app_transactions=[Transaction(application, stage.expected + 1, int(time.time() * 1000))],
            max_commit_retries=5,
        )
        root = self.uri(stage.table.name)
        actions: list[AddAction | RemoveAction] = [
            AddAction(
                path=uri.removeprefix(f"{root}/"),
                size=file_size(uri),
                partition_values=partition,
                modification_time=int(time.time() * 1000),
                data_change=True,
                stats=json.dumps({"numRecords": rows}),
            )
            for uri, rows in zip(files, counts, strict=True)
        ]
        try:
            table.create_write_transaction(
                actions,
                mode="overwrite",
                schema=stage.table.delta_schema,
                partition_by=[PARTITION],
                partition_filters=[(PARTITION, "=", stage.run_date.isoformat())],
                commit_properties=properties,
            )
        except CommitFailedError as error:
            raise PublishConflict(stage.table.name, stage.run_date.isoformat(), str(error)) from error
        table.update_incremental()
        return table.version()

    def _published_hash(self, table: DeltaTable, application: str) -> str | None:
        """Content hash of the partition's newest commit, from the log."""
        for commit in table.history():
            note = json.loads(commit.get("nightrec") or "{}")
            if note.get("application") == application:
                return str(note["content_hash"])
        return None


def check_schema(table: Table, files: Iterable[str], where: str) -> list[int]:
    """Compare each staged file's schema with the table's; returns the rows of each file.

    Raises SchemaMismatch listing every discrepancy of every file at once.
    """
    problems: dict[str, None] = {}
    counts = []
    for uri in files:
        filesystem, path = resolve(uri)
        with filesystem.open_input_file(path) as stream:
            footer = pq.ParquetFile(stream)
            counts.append(footer.metadata.num_rows)
            problems.update(dict.fromkeys(_differences(table.schema, footer.schema_arrow)))
    if not counts and not table.may_be_empty:
        problems[f"no Parquet file was staged for {table.name}"] = None
    if problems:
        raise SchemaMismatch(table.name, list(problems), where)
    return counts


def _differences(expected: pa.Schema, found: pa.Schema) -> list[str]:
    missing = [f"column {n!r} is missing" for n in expected.names if n not in found.names]
    unexpected = [f"column {n!r} is unexpected" for n in found.names if n not in expected.names]
    other = [
        f"column {f.name!r}: expected {_plain(f.type)}, found {_plain(found.field(f.name).type)}"
        for f in expected
        if f.name in found.names and _plain(f.type) != _plain(found.field(f.name).type)
    ]
    return missing + unexpected + other


def _plain(kind: pa.DataType) -> str:
    """A type without what engines write differently: names of list elements, large variants, nullability."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{_plain(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{f.name}: {_plain(f.type)}' for f in kind)}>"
    return str(kind).replace("large_", "")


def staged_dataset(table: Table, files: list[str]) -> ds.Dataset:
    """The rows of staged files, in the table's schema."""
    return Snapshot(table.name, date.min, 0, tuple(files)).dataset()


def _application(table: str, run_date: date) -> str:
    return f"nightrec/{table}/{run_date.isoformat()}"
