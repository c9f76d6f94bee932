"""From a source column of any type to text, numbers, instants and lists. Nothing raises: null means "is none"."""

import re

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    MapType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from jobs.read_source import quoted
from schemas.source_config import ColumnMapping

BLANKS = " \t\r\n\u00a0"
MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
EARLIEST_MICROSECONDS = -2_208_988_800_000_000
"""1900-01-01: an instant before it is a parsing error (a wrong unit), not an event."""


def source_column(frame: DataFrame, name: str) -> tuple[Column, DataType]:
    """A source column and its type."""
    return F.col(quoted(name)), frame.schema[name].dataType


def as_text(column: Column, kind: DataType) -> Column:
    """Trimmed text; null for what is empty. Whole floats lose their `.0`, lists are joined by commas."""
    if isinstance(kind, ArrayType):
        return _filled(F.array_join(as_list(column, kind, None), ", "))
    if isinstance(kind, StructType | MapType):
        return F.to_json(column)
    if isinstance(kind, BinaryType):
        return _filled(F.decode(column, "UTF-8"))
    if isinstance(kind, DoubleType | FloatType):
        whole = (column == F.floor(column)) & (F.abs(column) < 2**53)
        plain = F.when(whole, column.cast("bigint").cast("string")).otherwise(column.cast("string"))
        return F.when(~F.isnan(column), plain)
    return _filled(column.cast("string"))


def _filled(text: Column) -> Column:
    trimmed = F.btrim(text, F.lit(BLANKS))
    return F.when(trimmed != "", trimmed)


def as_list(column: Column, kind: DataType, separator: str | None) -> Column:
    """List of trimmed, non-empty texts; empty for null. A list column stays one, text is cut at the separator."""
    if isinstance(kind, ArrayType):
        parts = F.transform(column, lambda element: as_text(element, kind.elementType))
    elif separator is None:
        parts = F.array(as_text(column, kind))
    else:
        parts = F.transform(F.split(as_text(column, kind), re.escape(separator)), _filled)
    return F.coalesce(F.filter(parts, lambda part: part.isNotNull()), F.array().cast("array<string>"))


def as_number(column: Column, kind: DataType) -> Column:
    """A finite double, or null."""
    number = as_text(column, kind).try_cast("double")
    return F.when(~F.isnan(number) & (F.abs(number) != float("inf")), number)


def as_instant(column: Column, kind: DataType, unit: str | None) -> Column:
    """A UTC timestamp, or null. Columns that are timestamps or dates are taken as they are, whatever the unit says.

    ISO text needs at least a full date: Spark alone would read `2026` or `12:30` as instants too.
    """
    if isinstance(kind, TimestampType | TimestampNTZType | DateType):
        instant = column.cast("timestamp")
    elif unit in MICROSECONDS:
        # Exact decimals: a double holds microseconds of today, but not those behind Unix seconds with a fraction.
        number = as_text(column, kind).try_cast("decimal(30,6)")
        instant = F.timestamp_micros((number * MICROSECONDS[unit]).try_cast("bigint"))
    else:
        text = as_text(column, kind)
        instant = F.when(text.rlike(r"^\d{4}-\d{2}-\d{2}"), text.try_cast("timestamp"))
    return F.when(F.unix_micros(instant) >= EARLIEST_MICROSECONDS, instant)


def mapped_text(frame: DataFrame, mapping: ColumnMapping) -> Column:
    """`as_text` of a mapped column."""
    return as_text(*source_column(frame, mapping.column))
