"""Small files become fewer, with the same rows, and readers still leave out what they do not look for."""

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import small_files
from schemas.small_files import join_small_files
from schemas.storage import list_files

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(1, 4_000), st.integers(1, 8_000))
def test_rows_stay_and_no_two_small_files_that_fit_together_are_left(tmp_path_factory, counts, small, joined):
    folder = tmp_path_factory.mktemp("stage")
    for number, count in enumerate(counts):
        rows = pa.table({"id": range(count), "text": ["x" * 20] * count}, schema=SCHEMA)
        pq.write_table(rows, folder / f"part-{number:05d}.parquet")
    before = list_files(str(folder), ".parquet")
    expected = sorted(row["id"] for uri in before for row in pq.read_table(uri).to_pylist())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_files, "SMALL_BYTES", small)
        patch.setattr(small_files, "JOINED_BYTES", joined)
        found = join_small_files(before, SCHEMA)
    assert found == list_files(str(folder), ".parquet")
    assert sorted(row["id"] for uri in found for row in pq.read_table(uri).to_pylist()) == expected
    assert len(found) <= len(before)
    if small > 3_000 and joined > 7_000 and len(before) > 1:
        assert len(found) < len(before)


def test_a_joined_file_has_a_row_group_for_each_part(tmp_path):
    for number in range(3):
        rows = pa.table({"id": [number] * 5, "text": ["x"] * 5}, schema=SCHEMA)
        pq.write_table(rows, tmp_path / f"part-{number}.parquet")
    (only,) = join_small_files(list_files(str(tmp_path), ".parquet"), SCHEMA)
    assert pq.ParquetFile(only).num_row_groups == 3
    (fragment,) = ds.dataset(only).get_fragments()
    assert len(fragment.split_by_row_group(ds.field("id") == 1)) == 1


def test_large_files_and_a_lone_small_one_stay_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(small_files, "SMALL_BYTES", 1_000)
    for name, count in (("large", 5_000), ("small", 1)):
        rows = pa.table({"id": range(count), "text": ["x"] * count}, schema=SCHEMA)
        pq.write_table(rows, tmp_path / f"{name}.parquet")
    before = list_files(str(tmp_path), ".parquet")
    assert join_small_files(before, SCHEMA) == before
