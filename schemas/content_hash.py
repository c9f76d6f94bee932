"""A hash of a table's rows that does not depend on their order or on how they lie in files."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

MOMENT = "as_of"
"""The column that says for which night a row was built: another one every night, whatever the rest of the row."""


def content_hash(dataset: ds.Dataset) -> str:
    """Row count and the sum of 64-bit row hashes, as hex; reads batch by batch in bounded memory.

    Summing makes it independent of order; equal rows still count, because the sum does not cancel. A table with a
    column `as_of` has that column's hash behind an @: what stands before it is equal on two nights whose rows are.
    """
    rows, total, moments = 0, 0, 0
    for batch in dataset.to_batches():
        rows += batch.num_rows
        total += _sum_of_hashes(batch, [name for name in sorted(batch.schema.names) if name != MOMENT])
        moments += _sum_of_hashes(batch, [MOMENT]) if MOMENT in batch.schema.names else 0
    digest = f"{rows:x}-{total % 2**64:016x}"
    return f"{digest}@{moments % 2**64:016x}" if MOMENT in dataset.schema.names else digest


def undated(digest: str) -> str:
    """A content hash without what tells the night."""
    return digest.partition("@")[0]


def _sum_of_hashes(batch: pa.RecordBatch, names: list[str]) -> int:
    if not batch.num_rows:
        return 0
    columns = {name: _scalar(batch.column(name)) for name in names}
    hashed = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False, categorize=False)
    return int(np.add.reduce(np.asarray(hashed, dtype=np.uint64), dtype=np.uint64))


def _scalar(column: pa.Array) -> pd.Series:
    if pa.types.is_nested(column.type):
        return pd.Series([json.dumps(value, default=str) for value in column.to_pylist()], dtype=object)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.fill_null("\0null").to_pandas()
    return column.to_pandas()
