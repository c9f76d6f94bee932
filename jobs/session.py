"""The Spark session of a job."""

import importlib
import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from schemas.config import Features

log = logging.getLogger("nightrec.spark")

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


PARTITION_BYTES = 32 * 2**20
"""Of input files per shuffle partition: some three million interactions in Parquet, which a core sorts in memory."""


def start_session(name: str) -> SparkSession:
    """A session in UTC; the master is the submitter's choice (all local cores when there is none)."""
    builder = SparkSession.builder.appName(f"nightrec-{name}")
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    return spark


@contextmanager
def spark_session(name: str) -> Iterator[SparkSession]:
    """The session of a job; stopped when the body ends.

    The audit's library takes seconds to import, in which this process would only wait for the JVM.
    """
    audit = threading.Thread(target=importlib.import_module, args=["schemas.contracts"])
    audit.start()
    spark = start_session(name)
    audit.join()
    try:
        yield spark
    finally:
        spark.stop()


def fit_shuffles(spark: SparkSession, features: Features, input_bytes: int) -> None:
    """Set into how many partitions what follows is shuffled: by what is read, unless the configuration says how many.

    A partition for every core, and more only where an input is so large that a core would not hold its part. Spark's
    200 make a small night wait for tasks that have nothing to do.
    """
    cores = spark.sparkContext.defaultParallelism
    partitions = features.shuffle_partitions or max(cores, math.ceil(input_bytes / PARTITION_BYTES))
    spark.conf.set("spark.sql.shuffle.partitions", partitions)
    log.info("%.0f MB of input, %d cores: %d shuffle partitions", input_bytes / 1e6, cores, partitions)
