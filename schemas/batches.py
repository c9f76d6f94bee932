"""Every row of a dataset once, a batch at a time, in memory that grows with neither its rows nor its row groups."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

FLAT, NESTED = 65_536, 4_096
"""Rows of a batch, and of one in which a row may be a whole history."""
BUFFER = 2**20
"""Bytes of a column that are read at once."""


def in_batches(rows: ds.Dataset, names: Sequence[str] | None = None, most: int = FLAT) -> Iterator[pa.RecordBatch]:
    """The named columns of a dataset, all by default, at `most` so many rows at a time.

    Arrow's scanner decodes whole row groups and goes on while a batch is being worked on, up to half a gigabyte for ten
    million interactions. A Parquet file is read batch by batch here, unless it lacks a column, as one of an older
    version may: the scanner knows what to do.
    """
    schema = pa.schema([rows.schema.field(name) for name in (rows.schema.names if names is None else names)])
    size = min(most, NESTED if any(map(pa.types.is_nested, schema.types)) else FLAT)
    for fragment in rows.get_fragments():
        if isinstance(fragment, ds.ParquetFileFragment) and {*schema.names} <= {*fragment.physical_schema.names}:
            with fragment.filesystem.open_input_file(fragment.path) as source:
                file = pq.ParquetFile(source, buffer_size=BUFFER, pre_buffer=False)
                for batch in file.iter_batches(size, columns=schema.names, use_threads=False):
                    # Column by column: a whole batch refuses nulls where there should be none, which audits look for.
                    columns = [batch[one.name].cast(one.type) for one in schema]
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)
        else:
            yield from fragment.to_batches(rows.schema, columns=schema.names, batch_size=size, batch_readahead=1)
