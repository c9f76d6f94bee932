"""Open a source of any format as a DataFrame of its own columns, plus one that marks rows which could not be parsed."""

import logging

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StringType, StructType

from schemas.errors import SourceError
from schemas.source_config import EntitySource
from schemas.storage import resolve

log = logging.getLogger("nightrec.ingest")

MALFORMED = "_malformed"
"""Column with the text of a csv or jsonl row that has not the file's shape; null for good rows."""

WITH_FREE_TEXT = ("items", "users", "requests")
"""Entities whose quoted csv fields may hold line breaks. Their files are read whole; those of events are split."""


def read_source(spark: SparkSession, entity: str, source: EntitySource) -> DataFrame:
    """The rows of a source, lazily: csv fields as text, other formats in their own types, plus `_malformed`.

    A source with files but without any row has no columns. Raises SourceError when nothing is found at the path.
    """
    readers = {
        "csv": lambda: _read_csv(spark, entity, source),
        "jsonl": lambda: _read_json_lines(spark, source),
        "parquet": lambda: _read_parquet(spark, source),
        "delta": lambda: _read_delta(spark, entity, source),
    }
    try:
        return readers[source.format]()
    except AnalysisException as error:
        if "PATH_NOT_FOUND" in str(error):
            raise SourceError(f"{entity}: no file at {source.path}. Check source.{entity}.path.") from error
        if "UNABLE_TO_INFER_SCHEMA" in str(error):
            return _nothing(spark)
        raise SourceError(f"{entity}: cannot read {source.path} as {source.format}: {error}") from error


def _nothing(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([], StructType().add(MALFORMED, StringType()))


def _read_csv(spark: SparkSession, entity: str, source: EntitySource) -> DataFrame:
    reader = _csv_reader(spark, entity, source)
    names = list(source.names) or reader.csv(source.path).columns
    if not names:
        return _nothing(spark)
    schema = StructType()
    for name in (*names, MALFORMED):
        schema = schema.add(name, StringType())
    # enforceSchema=False checks every file's own header against the first file's.
    reader = _csv_reader(spark, entity, source).option("columnNameOfCorruptRecord", MALFORMED)
    return reader.option("enforceSchema", not source.header).schema(schema).csv(source.path)


def _csv_reader(spark: SparkSession, entity: str, source: EntitySource) -> DataFrameReader:
    # RFC 4180 doubles quotes; where the delimiter has several characters nobody quotes, and a quote is just one.
    quote = '"' if len(source.delimiter) == 1 else ""
    multiline = entity in WITH_FREE_TEXT and len(source.delimiter) == 1 and source.delimiter != "\t"
    reader = spark.read.option("sep", source.delimiter).option("header", source.header and not source.names)
    reader = reader.option("encoding", source.encoding).option("quote", quote).option("escape", quote or "\\")
    return reader.option("multiLine", multiline).option("mode", "PERMISSIVE")


def _read_json_lines(spark: SparkSession, source: EntitySource) -> DataFrame:
    def reader() -> DataFrameReader:
        options = {"encoding": source.encoding, "columnNameOfCorruptRecord": MALFORMED, "mode": "PERMISSIVE"}
        return spark.read.options(primitivesAsString=True, **options)

    found = reader().json(source.path).schema
    schema = StructType([field for field in found if field.name != MALFORMED]).add(MALFORMED, StringType())
    return reader().schema(schema).json(source.path)


def _read_parquet(spark: SparkSession, source: EntitySource) -> DataFrame:
    frame = spark.read.parquet(source.path)
    files = frame.inputFiles()
    return _with_nanoseconds(frame, files[0]) if files else frame.withColumn(MALFORMED, F.lit(None).cast("string"))


def _read_delta(spark: SparkSession, entity: str, source: EntitySource) -> DataFrame:
    """A Delta table at its newest version, read from the Parquet files that delta-rs names (no JVM library)."""
    try:
        table = DeltaTable(source.path)
    except (TableNotFoundError, DeltaError) as error:
        raise SourceError(f"{entity}: no Delta table at {source.path}: {error}") from error
    features = set(table.protocol().reader_features or ())
    if unsupported := features & {"deletionVectors", "columnMapping"}:
        raise SourceError(
            f"{entity}: {source.path} uses {', '.join(sorted(unsupported))}, which its Parquet files do not show. "
            "Purge the table (REORG … APPLY (PURGE)) or export it as Parquet."
        )
    schema = from_arrow_schema(pa.schema(table.schema().to_arrow()))
    files = table.file_uris()
    if not files:
        return _nothing(spark)
    frame = spark.read.schema(schema).option("basePath", source.path).parquet(*files)
    return frame.withColumn(MALFORMED, F.lit(None).cast("string"))


def _with_nanoseconds(frame: DataFrame, file: str) -> DataFrame:
    """Turn the columns that a Parquet file declares as nanoseconds into timestamps (Spark hands them over as longs)."""
    filesystem, path = resolve(file.replace("s3a://", "s3://"))
    with filesystem.open_input_file(path) as stream:
        declared = pq.ParquetFile(stream).schema_arrow
    nanoseconds = [
        f.name for f in declared if f.name in frame.columns and pa.types.is_timestamp(f.type) and f.type.unit == "ns"
    ]
    converted = {name: F.timestamp_micros(F.expr(f"{quoted(name)} div 1000")) for name in nanoseconds}
    return frame.withColumns({**converted, MALFORMED: F.lit(None).cast("string")})


def quoted(name: str) -> str:
    """A column's name as Spark expects it where the name may hold dots or colons."""
    return f"`{name.replace('`', '``')}`"
