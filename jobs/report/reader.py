"""Reads the tables of a night for the report; what is not there reads as empty, so that a report never fails on it."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import LakeError
from schemas.lake import Snapshot
from schemas.night import Task
from schemas.tables import TABLES

Rows = list[dict[str, Any]]


class TableReader:
    """Reads the night's tables as rows; a table that is not there reads as empty and is noted in `unreadable`."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.unreadable: dict[str, str] = {}

    def rows(self, table: str, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> Rows:
        """Rows in key order."""
        dataset = self._dataset(table)
        if dataset is None:
            return []
        found = dataset.to_table(columns=list(columns) if columns else None, filter=where)
        keys = [(key, "ascending") for key in TABLES[table].key if key in found.column_names]
        return list(found.sort_by(keys).to_pylist()) if keys else list(found.to_pylist())

    def newest(self, table: str) -> tuple[date, Rows] | None:
        """The newest partition at or before the night, of a table that other DAGs publish: its date and rows."""
        try:
            found: Snapshot | None = self._task.previous(table)
            return (found.run_date, found.read().to_pylist()) if found else None
        except LakeError as error:
            self.unreadable[table] = str(error)
            return None

    def count(self, table: str, where: pc.Expression | None = None) -> int | None:
        """Number of rows, None where the table is not there."""
        dataset = self._dataset(table)
        return None if dataset is None else int(dataset.count_rows(filter=where))

    def _dataset(self, table: str) -> Any:
        if table not in self._task.published:
            return None
        try:
            return self._task.read(table).dataset()
        except LakeError as error:
            self.unreadable[table] = str(error)
            return None


def among(column: str, ids: Iterable[str]) -> pc.Expression:
    """Rows whose `column` is one of `ids`, of which there may be none."""
    return pc.field(column).isin(pa.array(sorted(ids), pa.string()))


def titles_of(reader: TableReader, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Title and categories of items by id; an item without a title is called by its id."""
    rows = reader.rows("items", ["item_id", "title", "categories"], among("item_id", ids))
    return {r["item_id"]: {"title": r["title"] or r["item_id"], "categories": r["categories"] or []} for r in rows}
