"""Write an Arrow table into a stage, for results that a task holds in its own process."""

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.lake import Stage
from schemas.storage import resolve


def write_table(stage: Stage, table: pa.Table) -> None:
    """Write rows in key order as one Parquet file of a stage; a table without rows writes an empty file."""
    filesystem, path = resolve(stage.uri)
    filesystem.create_dir(path, recursive=True)
    ordered = table.sort_by([(key, "ascending") for key in stage.table.key])
    pq.write_table(ordered, f"{path}/part-0.parquet", filesystem=filesystem)
