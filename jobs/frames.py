"""Between the lake and Spark: pinned reads, staged writes, and exact row numbers without a single-partition window."""

from datetime import datetime

import pyarrow.parquet as pq
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from schemas.lake import Snapshot, Stage
from schemas.night import Task
from schemas.storage import list_files, resolve
from schemas.tables import TABLES


def table_schema(table: str) -> StructType:
    """Spark schema of a table's files."""
    return from_arrow_schema(TABLES[table].schema)


def read_table(spark: SparkSession, snapshot: Snapshot) -> DataFrame:
    """The rows of a pinned partition."""
    schema = table_schema(snapshot.table)
    if not snapshot.uris:
        # The plan knows that it is empty and leaves out joins with it; createDataFrame would start Python workers.
        nothing = [F.lit(None).cast(field.dataType).alias(field.name) for field in schema]
        return spark.range(1).select(*nothing).limit(0)
    return spark.read.schema(schema).parquet(*snapshot.uris)


def input_bytes(task: Task, *tables: str) -> int:
    """Parquet bytes of tables that other tasks of the run have published."""
    return sum(int(task.published[table]["bytes"]) for table in tables if table in task.published)


def read_stage(spark: SparkSession, stage: Stage) -> DataFrame:
    """The rows that this task has written below a stage, to go on from there."""
    return spark.read.schema(table_schema(stage.table.name)).parquet(stage.uri)


def write_stage(frame: DataFrame, stage: Stage) -> None:
    """Write a table's rows where the stage wants them, in the table's column order and types."""
    schema = table_schema(stage.table.name)
    frame.select(*[F.col(field.name).cast(field.dataType) for field in schema]).write.parquet(stage.uri)


def staged_rows(stage: Stage) -> int:
    """Rows that a stage holds, from the files' footers."""
    rows = 0
    for uri in list_files(stage.uri, ".parquet"):
        filesystem, path = resolve(uri)
        with filesystem.open_input_file(path) as stream:
            rows += pq.ParquetFile(stream).metadata.num_rows
    return rows


def instant(moment: datetime) -> Column:
    """An aware datetime as a timestamp."""
    return F.timestamp_micros(F.lit(round(moment.timestamp() * 1_000_000)))


def numbered(frame: DataFrame, order: list[Column], name: str) -> DataFrame:
    """Add a column of exact positions from 0 in a total order.

    Sorts by range over all executors and adds to each partition's local numbers the rows before it: no executor
    ever holds more than its share, unlike a window without partitions. The result is persisted.
    """
    local = frame.sort(*order).select("*", F.monotonically_increasing_id().alias("_id"))
    local = local.withColumns({"_partition": F.shiftright("_id", 33), "_local": F.col("_id").bitwiseAND(2**33 - 1)})
    local = local.persist(StorageLevel.MEMORY_AND_DISK)
    counts = {row["_partition"]: row["count"] for row in local.groupBy("_partition").count().collect()}
    offset, before = F.lit(0), 0
    for partition in sorted(counts):
        offset = F.when(F.col("_partition") == partition, F.lit(before)).otherwise(offset)
        before += counts[partition]
    return local.withColumn(name, (F.col("_local") + offset).cast("bigint")).drop("_id", "_partition", "_local")
