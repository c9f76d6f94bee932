"""Tables by parts of consecutive ids, on local disk: of tables of any size and order, one part is in memory."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from schemas.batches import in_batches
from schemas.lake import Snapshot
from schemas.tables import TABLES

PART, FORMAT = "_part", "feather"


class IdParts:
    """Numbered parts of at most `size` of the given sorted ids; tables are put in, and read part by part.

    Rows of other ids are left out. `id_column` names the ids in all tables.
    """

    def __init__(self, ids: NDArray[np.object_], id_column: str, size: int, folder: Path) -> None:
        self._ids, self._column = pa.array(ids, pa.string()), id_column
        self._size, self._folder = size, folder
        self._schemas: dict[str, pa.Schema] = {}

    def __len__(self) -> int:
        return math.ceil(len(self._ids) / self._size)

    def put(self, snapshot: Snapshot, columns: Sequence[str] | None = None, where: ds.Expression | None = None) -> None:
        """Spread a partition's rows over the parts, batch by batch."""
        dataset = snapshot.dataset()
        schema = pa.schema([dataset.schema.field(name) for name in columns or dataset.schema.names])
        self._schemas[snapshot.table] = schema
        batches = in_batches(dataset, schema.names)
        ds.write_dataset(
            self._numbered(batches if where is None else (batch.filter(where) for batch in batches)),
            self._folder / snapshot.table,
            format=FORMAT,
            schema=schema.append(pa.field(PART, pa.int32())),
            partitioning=ds.partitioning(pa.schema([(PART, pa.int32())])),
            max_partitions=max(1, len(self)),
        )

    def get(self, table: str, number: int) -> pa.Table:
        """A part's rows of a table, in key order."""
        folder, schema = self._folder / table / str(number), self._schemas[table]
        if not folder.exists():
            return schema.empty_table()
        rows = ds.dataset(folder, schema=schema, format=FORMAT).to_table()
        return rows.sort_by([(key, "ascending") for key in TABLES[table].key if key in schema.names])

    def _numbered(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            place = pc.index_in(batch[self._column], value_set=self._ids)
            numbered = batch.append_column(PART, pc.divide(place, self._size))
            yield numbered.filter(place.is_valid())
