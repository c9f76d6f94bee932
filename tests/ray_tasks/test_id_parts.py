"""Parts of consecutive ids: every row of a known id is in its part, in key order, whatever the table's order."""

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.interactions.id_parts import IdParts
from schemas.lake import Snapshot
from schemas.tables import TABLES

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
REQUESTS = TABLES["requests"].schema


def snapshot(folder: Path, rows: list[tuple[str, int]]) -> Snapshot:
    """`requests` in two files, in the order given."""
    uris = []
    for number, part in enumerate((rows[::2], rows[1::2])):
        found = [{"user_id": u, "timestamp": NOON + timedelta(minutes=n), "text": f"{u} {n}"} for u, n in part]
        table = pa.Table.from_pylist(found, schema=REQUESTS)
        uris.append(str(folder / f"{number}.parquet"))
        pq.write_table(table, uris[-1])
    return Snapshot("requests", date(2026, 11, 22), 0, tuple(uris))


users = st.integers(0, 12).map("u{:02d}".format)


@given(st.lists(st.tuples(users, st.integers(0, 99)), unique=True), st.sets(users), st.integers(1, 5))
def test_parts_hold_the_rows_of_their_ids_sorted_and_no_others(rows, known, size):
    ids = np.array(sorted(known), dtype=object)
    with tempfile.TemporaryDirectory() as name:
        parts = IdParts(ids, "user_id", size, Path(name))
        parts.put(snapshot(Path(name), rows))
        found = [parts.get("requests", number).select(["user_id", "text"]).to_pylist() for number in range(len(parts))]
    for number, part in enumerate(found):
        assert {row["user_id"] for row in part} <= set(ids[number * size :][:size])
    everything = [(row["user_id"], row["text"]) for part in found for row in part]
    assert everything == [(u, f"{u} {n}") for u, n in sorted(rows) if u in known]


def test_only_the_columns_and_rows_asked_for_are_kept(tmp_path):
    parts = IdParts(np.array(["u00", "u01"], dtype=object), "user_id", 1, tmp_path)
    asked = snapshot(tmp_path, [("u00", 1), ("u01", 2), ("u01", 3)])
    parts.put(asked, ["user_id", "text"], pc.field("text") != "u01 2")
    assert parts.get("requests", 0).to_pylist() == [{"user_id": "u00", "text": "u00 1"}]
    assert parts.get("requests", 1).to_pylist() == [{"user_id": "u01", "text": "u01 3"}]
