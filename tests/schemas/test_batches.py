"""Reading batch by batch gives what reading at once gives, whatever lies in which file."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import batches
from schemas.batches import in_batches

STEP = pa.struct([("item_id", pa.string()), ("weight", pa.float64())])
SCHEMA = pa.schema([("user_id", pa.string()), ("n", pa.int64()), ("items", pa.list_(STEP))])
rows = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.text("ab", max_size=2) | st.none(),
            "n": st.integers(-9, 9) | st.none(),
            "items": st.lists(st.fixed_dictionaries({"item_id": st.text("xy", max_size=2), "weight": st.just(1.0)})),
        }
    ),
    max_size=7,
)


@given(st.lists(rows, min_size=1, max_size=3), st.permutations(SCHEMA.names), st.integers(1, 3), st.integers(1, 3))
def test_it_reads_what_reading_at_once_does(files, names, group, count):
    wanted = names[:count]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "NESTED", 2)
        for number, found in enumerate(files):
            table = pa.Table.from_pylist(found, schema=SCHEMA)
            pq.write_table(table, f"{folder}/{number}.parquet", row_group_size=group)
        dataset = ds.dataset([f"{folder}/{number}.parquet" for number in range(len(files))], schema=SCHEMA)
        at_once = dataset.to_table(columns=wanted)
        assert pa.Table.from_batches(in_batches(dataset, wanted), at_once.schema).equals(at_once)


def test_a_file_without_a_column_has_nulls_and_one_of_another_engine_the_types_of_the_table(tmp_path: Path):
    never_null = pa.list_(pa.field("element", STEP, nullable=False))
    lists = pa.table({"user_id": ["a"], "items": pa.array([[{"item_id": "x", "weight": 1.0}]], never_null)})
    pq.write_table(lists, tmp_path / "older.parquet")
    pq.write_table(lists.add_column(1, "n", pa.array([3])), tmp_path / "other.parquet")
    dataset = ds.dataset([tmp_path / "older.parquet", tmp_path / "other.parquet"], schema=SCHEMA)
    found = pa.Table.from_batches(in_batches(dataset))
    assert found.schema == SCHEMA
    assert found["n"].to_pylist() == [None, 3]
    assert found["items"].to_pylist() == 2 * [[{"item_id": "x", "weight": 1.0}]]


def test_a_missing_value_where_there_should_be_none_is_read_for_audits_to_find(tmp_path: Path):
    strict = pa.schema([pa.field("user_id", pa.string(), nullable=False)])
    pq.write_table(pa.table({"user_id": ["a", None]}), tmp_path / "part.parquet")
    dataset = ds.dataset([tmp_path / "part.parquet"], schema=strict)
    assert [batch["user_id"].to_pylist() for batch in in_batches(dataset)] == [["a", None]]


def test_rows_in_memory_are_read_as_well():
    table = pa.Table.from_pylist([{"user_id": "a", "n": 1, "items": []}], schema=SCHEMA)
    assert pa.Table.from_batches(in_batches(ds.dataset(table), ["n", "user_id"])).equals(table.select(["n", "user_id"]))
