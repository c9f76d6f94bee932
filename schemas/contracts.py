"""From a table's declaration to a Great Expectations suite, and the audit of staged rows with it.

Great Expectations takes seconds to import: only processes that audit import this module.
"""

import gc
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from great_expectations.data_context.types.base import ProgressBarsConfig

from schemas.batches import in_batches
from schemas.table import Expect, Table

PART_ROWS = 250_000
"""Rows validated at once: of candidates, the widest table, some hundred megabytes. Larger parts are no faster."""
HASHES = ("key_hash", "other_key_hash")
"""A row's key as two 64-bit hashes: no two keys of a table share both."""
HASH_FILES = 64
"""Files that hold the hashes of a large table: one of them is in memory at a time."""


def expectations_of_rows(table: Table) -> list[Expect]:
    """What every row must meet whatever the others are: not-null columns, and the table's own expectations."""
    not_null = [Expect("ExpectColumnValuesToNotBeNull", column=c.name) for c in table.columns if not c.nullable]
    return [*not_null, *table.expectations]


def expectations_of_keys(table: Table) -> list[Expect]:
    """What all rows together must meet: that there are any, unless a table may be empty, and no key twice."""
    rows = [] if table.may_be_empty else [Expect("ExpectTableRowCountToBeBetween", min_value=1)]
    return [*rows, Expect("ExpectCompoundColumnsToBeUnique", column_list=list(table.key))]


def audit(table: Table, rows: ds.Dataset, part_rows: int = PART_ROWS) -> list[str]:
    """Validate staged rows of any number; returns the failures in words, empty if none.

    Rows are read `part_rows` at a time, so that memory is that of a part; the keys of all parts are compared by their
    hashes, 16 bytes per row in temporary files. Results hold counts only, never values: rows may be personal data.
    """
    found, n_rows, parts = _Failures(), rows.count_rows(), _parts(table, rows, part_rows)
    if n_rows <= part_rows:  # all at once: Great Expectations takes a tenth of a second to begin
        frame = next(parts, rows.schema.empty_table().to_pandas())
        whole = pd.concat([frame, _hashes(frame[list(table.key)])], axis=1)
        found.add(table, whole, [*expectations_of_keys(table), *expectations_of_rows(table)])
        return found.in_words()
    with TemporaryDirectory() as folder:
        for frame in parts:
            found.add(table, frame, expectations_of_rows(table))
            _keep(_hashes(frame[list(table.key)]), Path(folder))
            gc.collect()  # Great Expectations' objects refer to each other and to their frame, and would keep several
        unique = [one for one in expectations_of_keys(table) if "column_list" in one.arguments]
        found.add(table, _suspects(Path(folder)), unique, rows=n_rows)
    return found.in_words()


def _parts(table: Table, rows: ds.Dataset, part_rows: int) -> Iterator[pd.DataFrame]:
    """The rows in frames of at most `part_rows`, as large as the files allow."""
    held: list[pa.RecordBatch] = []
    for batch in in_batches(rows, most=part_rows):
        if held and sum(map(len, held)) + len(batch) > part_rows:
            yield pa.Table.from_batches(held).to_pandas()
            held = []
        held.append(_looked_at(table, batch))
    if any(map(len, held)):
        yield pa.Table.from_batches(held).to_pandas()


def _looked_at(table: Table, rows: pa.RecordBatch) -> pa.RecordBatch:
    """What is looked at of each column: the values where something is expected of them, else True where there is one.

    Histories and evidence as Python's lists and dicts would take more memory than all else of a night.
    """
    decisive = {*table.key, *(one.arguments.get("column") for one in table.expectations)}
    none = pa.scalar(None, pa.bool_())
    columns = {name: rows[name] for name in table.schema.names}
    return pa.RecordBatch.from_pydict(
        {name: one if name in decisive else pc.if_else(one.is_valid(), True, none) for name, one in columns.items()}
    )


def _keep(hashes: pd.DataFrame, folder: Path) -> None:
    """Append hashes to files by the first of them, so that equal ones lie in the same file."""
    ordered = hashes.sort_values(HASHES[0]).to_numpy(dtype=np.uint64)
    edges = np.searchsorted(ordered[:, 0], np.arange(1, HASH_FILES, dtype=np.uint64) * np.uint64(2**64 // HASH_FILES))
    for number, part in enumerate(np.split(ordered, edges)):
        with (folder / str(number)).open("ab") as file:
            part.tofile(file)


def _suspects(folder: Path) -> pd.DataFrame:
    """Rows that share their first hash with another: of millions of unique keys next to none, so that few are compared.

    Great Expectations takes a hundred bytes and more for each key that it compares.
    """
    found = []
    for path in sorted(folder.iterdir()):
        hashes = np.fromfile(path, dtype=np.uint64).reshape(-1, len(HASHES))
        first = np.sort(hashes[:, 0])
        found.append(hashes[np.isin(hashes[:, 0], first[1:][first[1:] == first[:-1]])])
    return pd.DataFrame(np.concatenate(found), columns=list(HASHES))


def _hashes(keys: pd.DataFrame) -> pd.DataFrame:
    secrets = ("0123456789abcdef", "fedcba9876543210")
    made = [pd.util.hash_pandas_object(keys, index=False, hash_key=secret) for secret in secrets]
    return pd.DataFrame(dict(zip(HASHES, made, strict=True)))


@dataclass
class _Failures:
    """By expectation in words: rows looked at, unexpected ones where any frame failed, errors of those that broke."""

    seen: Counter[str] = field(default_factory=Counter)
    unexpected: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def add(self, table: Table, frame: pd.DataFrame, suite: Sequence[Expect], rows: int | None = None) -> None:
        """Validate a frame, which stands for so many rows, as many as it has by default."""
        for expect, result in zip(suite, _validated(table, frame, suite), strict=True):
            name = f"{result.expectation_config.type} {expect.arguments}"
            self.seen[name] += len(frame) if rows is None else rows
            if result.success:
                continue
            self.unexpected[name] = self.unexpected.get(name, 0) + (result.result or {}).get("unexpected_count", 0)
            if trouble := (result.exception_info or {}).get("exception_message"):
                self.errors[name] = str(trouble)

    def in_words(self) -> list[str]:
        """One line per expectation that was not met."""
        details = {name: f"unexpected: {count} of {self.seen[name]} rows" for name, count in self.unexpected.items()}
        details |= {name: f"raised {trouble}" for name, trouble in self.errors.items()}
        return [f"{name}: {detail}" for name, detail in details.items()]


def _validated(table: Table, frame: pd.DataFrame, suite: Sequence[Expect]) -> list[Any]:
    """Great Expectations' results, in the order of the suite."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("staged").add_dataframe_asset(table.name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    its_suite = gx.ExpectationSuite(table.name)
    for place, expect in enumerate(suite):
        hashed = {"column_list": list(HASHES)} if "column_list" in expect.arguments else {}
        arguments = {**expect.arguments, **hashed, "meta": {"place": place}}
        its_suite.add_expectation(getattr(gx.expectations, expect.kind)(**arguments))
    outcome = batch.validate(its_suite, result_format="BOOLEAN_ONLY" if frame.empty else "SUMMARY")
    return sorted(outcome.results, key=lambda result: result.expectation_config.meta["place"])
