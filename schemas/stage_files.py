"""Write rows that one process holds into a stage."""

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.lake import Stage
from schemas.storage import resolve


def write_rows(stage: Stage, rows: pa.Table) -> None:
    """Write rows as the stage's one Parquet file, in the table's own types."""
    filesystem, path = resolve(stage.uri)
    filesystem.create_dir(path, recursive=True)
    pq.write_table(rows.cast(stage.table.schema), f"{path}/part-00000.parquet", filesystem=filesystem)
