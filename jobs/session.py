"""The Spark session of a job."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from schemas.config import RunConfig

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # A row with too few or too many fields is only found when all fields are parsed.
    "spark.sql.csv.parser.columnPruning.enabled": "false",
    # Folder names such as `shop=007` stay text, as every other source value does.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # Sources may be windows-1252 and the like; without this Spark 4 knows seven encodings.
    "spark.sql.legacy.javaCharsets": "true",
    # pandas writes nanoseconds, which Spark refuses to read as timestamps; read_source turns them into timestamps.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
}


def start_session(name: str, shuffle_partitions: int) -> SparkSession:
    """A session in UTC; the master is the submitter's choice (all local cores when there is none)."""
    builder = SparkSession.builder.appName(f"nightrec-{name}")
    for key, value in {**SETTINGS, "spark.sql.shuffle.partitions": str(shuffle_partitions)}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    return spark


@contextmanager
def spark_session(name: str, config: RunConfig) -> Iterator[SparkSession]:
    """The session of a job; stopped when the body ends."""
    spark = start_session(name, config.features.shuffle_partitions)
    try:
        yield spark
    finally:
        spark.stop()
