"""The files of a stage: rows that one process holds, and what earlier attempts left unpublished."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.lake import Lake, Stage
from schemas.storage import list_files, resolve
from schemas.table import PARTITION


def write_rows(stage: Stage, rows: pa.Table) -> None:
    """Write rows as the stage's one Parquet file, in the table's own types."""
    write_tables(stage, [rows])


def write_tables(stage: Stage, tables: Iterable[pa.Table]) -> None:
    """Write tables as they come into the stage's one Parquet file, each as row groups of its own."""
    filesystem, path = resolve(stage.uri)
    filesystem.create_dir(path, recursive=True)
    schema = stage.table.schema
    with pq.ParquetWriter(f"{path}/part-00000.parquet", schema, filesystem=filesystem) as writer:
        for rows in tables:
            writer.write_table(rows.cast(schema))


def unpublished_files(lake: Lake, stage: Stage) -> list[str]:
    """Parquet files that other attempts at the stage's partition wrote and that the table does not hold."""
    table = lake.open(stage.table.name)
    held = table.file_uris([(PARTITION, "=", stage.run_date.isoformat())]) if table else []
    published = {_name(uri) for uri in held}
    own, partition = f"{stage.uri}/", stage.uri.rpartition("/")[0]
    files = [uri for uri in list_files(partition, ".parquet") if not uri.startswith(own)]
    return [uri for uri in files if _name(uri) not in published]


def _name(uri: str) -> str:
    """A file's path below its partition: the attempt and the file."""
    return "/".join(uri.split("/")[-2:])
