"""What a table *is*: columns, key, owner, privacy flags and expectations, declared beside its schema.

Every table is partitioned by `run_date` (a date, one partition per night) and holds what was known
before that night's `as_of`. The partition column is part of the Delta schema but not of the Parquet files.
"""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

PARTITION = "run_date"
TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it means, whether it may be null, whether it is personal data."""

    name: str
    type: pa.DataType
    description: str
    nullable: bool = False
    pii: bool = False


@dataclass(frozen=True)
class Expect:
    """One Great Expectations expectation by its class name, without importing the library here."""

    kind: str
    arguments: dict[str, Any]

    def __init__(self, kind: str, **arguments: Any) -> None:
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "arguments", arguments)


def between(column: str, low: float | None = None, high: float | None = None) -> Expect:
    """Every non-null value of `column` lies in [low, high]."""
    return Expect("ExpectColumnValuesToBeBetween", column=column, min_value=low, max_value=high)


def one_of(column: str, *values: str) -> Expect:
    """Every non-null value of `column` is one of `values`."""
    return Expect("ExpectColumnValuesToBeInSet", column=column, value_set=list(values))


@dataclass(frozen=True)
class Table:
    """A table's contract. Not-null and unique-key expectations follow from `columns` and `key`."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    owner: str = "nightrec"
    may_be_empty: bool = False
    expectations: tuple[Expect, ...] = field(default=())

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the Parquet files (without the partition column)."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    @property
    def delta_schema(self) -> pa.Schema:
        """Arrow schema of the Delta table (with the partition column).

        Columns are nullable in the log: writers of other engines mark them so, and nulls are the audit's business.
        """
        fields = [pa.field(c.name, c.type) for c in self.columns]
        return pa.schema([*fields, pa.field(PARTITION, pa.date32())])
