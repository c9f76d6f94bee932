"""A hash of a table's rows that does not depend on their order or on how they lie in files."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds


def content_hash(dataset: ds.Dataset) -> str:
    """Row count and the sum of 64-bit row hashes, as hex; reads batch by batch in bounded memory.

    Summing makes it independent of order; equal rows still count, because the sum does not cancel.
    """
    rows, total = 0, 0
    for batch in dataset.to_batches():
        rows += batch.num_rows
        total += int(np.add.reduce(_row_hashes(batch), dtype=np.uint64)) if batch.num_rows else 0
    return f"{rows:x}-{total % 2**64:016x}"


def _row_hashes(batch: pa.RecordBatch) -> "np.ndarray[Any, np.dtype[np.uint64]]":
    columns = {name: _scalar(batch.column(name)) for name in sorted(batch.schema.names)}
    hashed = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False, categorize=False)
    return np.asarray(hashed, dtype=np.uint64)


def _scalar(column: pa.Array) -> pd.Series:
    if pa.types.is_nested(column.type):
        return pd.Series([json.dumps(value, default=str) for value in column.to_pylist()], dtype=object)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.fill_null("\0null").to_pandas()
    return column.to_pandas()
