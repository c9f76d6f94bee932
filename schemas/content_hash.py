"""A hash of a table's rows that does not depend on their order or on how they lie in files."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from schemas.batches import in_batches

MOMENT = "as_of"
"""The column that says for which night a row was built: another one every night, whatever the rest of the row."""
Hashes = NDArray[np.uint64]
NULL, STEP = np.uint64(0x9E6C63D0876A9A47), np.uint64(0x9E3779B97F4A7C15)
"""The hash of a missing value, and what tells places apart: both any odd number."""


def content_hash(dataset: ds.Dataset) -> str:
    """Row count and the sum of 64-bit row hashes, as hex; reads batch by batch in bounded memory.

    Summing makes it independent of order; equal rows still count, because the sum does not cancel. A table with a
    column `as_of` has that column's hash behind an @: what stands before it is equal on two nights whose rows are.
    """
    rows, total, moments = 0, 0, 0
    for batch in in_batches(dataset):
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
    columns = {name: _hashes(batch.column(name)) for name in names}
    hashed = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False)
    return int(np.add.reduce(np.asarray(hashed, dtype=np.uint64), dtype=np.uint64))


def _hashes(column: pa.Array) -> Hashes:
    """A hash of each value, of lists and structs as of all that is in them, in its order; none is made a Python object.

    Histories are lists of structs, a million of which Python would take seconds and hundreds of megabytes for. What is
    missing is hashed apart: pandas makes integers floats where one of a batch is, so that rows would depend on it.
    """
    if pa.types.is_struct(column.type):
        fields = zip(column.type.names, column.flatten(), strict=True)
        parts = [_mixed(_hashes(child) ^ _text_hash(name)) for name, child in fields]
        found = np.sum(parts, axis=0, dtype=np.uint64) if parts else np.zeros(len(column), np.uint64)
    elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        found = _list_hashes(column)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.fill_null("").dictionary_encode()  # few are distinct: items of many histories, labels, roles
        distinct = pd.util.hash_array(encoded.dictionary.to_numpy(zero_copy_only=False), categorize=False)
        found = distinct[encoded.indices.to_numpy()]
    else:
        whole = pa.types.is_temporal(column.type) or pa.types.is_boolean(column.type)
        # A date has 32 bits, and Arrow casts to the same width only.
        width = pa.int32() if pa.types.is_date32(column.type) else pa.int64()
        numbers = column.cast(width) if whole else column
        found = pd.util.hash_array(numbers.fill_null(0).to_numpy())
    missing = column.is_null().to_numpy(zero_copy_only=False)
    return np.where(missing, NULL, found)


def _list_hashes(column: pa.ListArray) -> Hashes:
    lengths = column.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    place = np.arange(lengths.sum(), dtype=np.uint64) - np.repeat((ends - lengths).astype(np.uint64), lengths)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mixed(_hashes(column.flatten()) + place * STEP))])
    return _mixed(sums[ends] - sums[ends - lengths] + lengths.astype(np.uint64) * STEP)


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): sums of what it gives keep what they were made of
    apart."""
    values = values + STEP
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _text_hash(text: str) -> np.uint64:
    return np.uint64(pd.util.hash_array(np.array([text], dtype=object))[0])
