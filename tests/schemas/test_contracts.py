"""Every table declares a suite that Great Expectations accepts, and it catches what it should."""

import re
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contracts import audit, expectations_of_rows
from schemas.tables import TABLES

WHEN = datetime(2026, 11, 1, tzinfo=UTC)
VALUES = {
    pa.string(): "x",
    pa.float64(): 0.5,
    pa.float32(): 0.5,
    pa.int64(): 1,
    pa.int32(): 1,
    pa.date32(): WHEN.date(),
    pa.timestamp("us", tz="UTC"): WHEN,
}


def row_that_fits(table) -> dict:
    row = {c.name: VALUES.get(c.type, []) for c in table.columns}
    for expect in table.expectations:
        if expect.kind == "ExpectColumnValuesToBeInSet":
            row[expect.arguments["column"]] = expect.arguments["value_set"][0]
        if "regex" in expect.arguments:
            row[expect.arguments["column"]] = next(
                zeros for zeros in ("0" * 32, "0" * 64) if re.match(expect.arguments["regex"], zeros)
            )
        if expect.kind == "ExpectColumnValuesToBeBetween":
            least = expect.arguments.get("min_value") or 0
            row[expect.arguments["column"]] = max(row[expect.arguments["column"]], least)
    return row


def staged(table, rows) -> ds.Dataset:
    return ds.dataset(pa.Table.from_pylist(rows, schema=table.schema))


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_row_that_fits_passes_and_its_double_fails_on_the_key(table):
    row = row_that_fits(table)
    assert audit(table, staged(table, [row])) == []
    assert any("unique" in failure for failure in audit(table, staged(table, [row, row])))


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_table_may_be_empty_only_where_it_says_so(table):
    failures = audit(table, staged(table, []))
    assert (failures == []) == table.may_be_empty


def test_a_null_where_none_may_be_is_counted_and_not_shown():
    table = TABLES["splits"]
    secret = {**row_that_fits(table), "user_id": "secret-user", "item_id": None}
    failures = audit(table, staged(table, [secret]))
    assert any("not_be_null" in f and "1 of 1" in f for f in failures)
    assert "secret-user" not in " ".join(failures)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_missing_value_is_found_in_every_column_that_needs_one_and_in_no_other(table):
    for column in table.columns:
        failures = audit(table, staged(table, [{**row_that_fits(table), column.name: None}]))
        assert any("not_be_null" in f and f"'{column.name}'" in f for f in failures) == (not column.nullable)


def test_every_column_of_every_table_is_described_and_every_key_exists():
    for table in TABLES.values():
        names = {column.name for column in table.columns}
        assert set(table.key) <= names
        assert all(column.description for column in table.columns)
        assert {e.arguments.get("column", table.key[0]) for e in expectations_of_rows(table)} <= names


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e", None]), max_size=7), st.integers(1, 4))
def test_parts_say_what_the_whole_says(items, part_rows):
    table = TABLES["splits"]
    rows = staged(table, [{**row_that_fits(table), "item_id": item} for item in items])
    assert sorted(audit(table, rows, part_rows)) == sorted(audit(table, rows))
    assert any("unique" in failure for failure in audit(table, rows, part_rows)) == (len(set(items)) < len(items))
