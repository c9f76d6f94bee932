"""Stage, audit, publish: what a consumer may rely on."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from schemas.contracts import audit as audit_rows
from schemas.errors import AuditFailed, LakeError, PublishConflict, SchemaMismatch
from schemas.lake import Lake, Stage, staged_dataset
from schemas.storage import resolve
from schemas.table import Column
from schemas.tables import TABLES

NIGHT, TOMORROW = date(2026, 11, 22), date(2026, 11, 23)


def rows(*ids: str, split: str = "train") -> pa.Table:
    when = datetime(2026, 11, 1, tzinfo=UTC)
    records = [
        {"user_id": "u", "item_id": i, "timestamp": when, "rating": None, "weight": 1.0, "split": split} for i in ids
    ]
    return pa.Table.from_pylist(records, schema=TABLES["splits"].schema)


def write(stage: Stage, table: pa.Table, name: str = "part-0.parquet") -> None:
    filesystem, path = resolve(stage.uri)
    filesystem.create_dir(path, recursive=True)
    pq.write_table(table, f"{path}/{name}")


def accept(table, files):
    return []


def publish(lake: Lake, table: pa.Table, attempt: str, night: date = NIGHT):
    stage = lake.stage("splits", night, attempt)
    write(stage, table)
    return lake.publish(stage, accept, {"run_id": attempt, "inputs": {"interactions": 7}})


def ids(lake: Lake, night: date = NIGHT, version: int | None = None) -> list[str]:
    return sorted(lake.snapshot("splits", night, version).read()["item_id"].to_pylist())


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_a_rerun_replaces_its_partition_and_leaves_the_others(lake):
    publish(lake, rows("a", "b"), "first")
    publish(lake, rows("z"), "other", date(2026, 11, 21))
    publish(lake, rows("c"), "second")
    assert ids(lake) == ["c"]
    assert ids(lake, date(2026, 11, 21)) == ["z"]


def test_a_read_gives_the_rows_asked_for_in_the_order_of_their_keys(lake):
    publish(lake, rows("c", "b", "a"), "first")
    some = lake.snapshot("splits", NIGHT).read(["item_id"], where=pc.field("item_id") != "b")
    assert some["item_id"].to_pylist() == ["a", "c"]


def test_a_rerun_with_the_same_rows_in_another_order_commits_nothing(lake):
    first = publish(lake, rows("a", "b"), "first")
    again = publish(lake, rows("b", "a"), "second")
    assert first.changed
    assert not again.changed
    assert (again.version, again.content_hash) == (first.version, first.content_hash)


def test_an_old_version_stays_readable_after_a_rerun(lake):
    first = publish(lake, rows("a"), "first")
    publish(lake, rows("b"), "second")
    assert ids(lake, version=first.version) == ["a"]


def test_a_table_that_gets_a_column_keeps_its_nights_and_tells_the_column_from_then_on(lake):
    new = replace(TABLES["splits"], columns=(*TABLES["splits"].columns, Column("since", pa.int64(), "", nullable=True)))
    publish(lake, rows("a"), "first")
    with patch.dict(TABLES, {"splits": new}):
        table = rows("b")
        publish(lake, table.set_column(table.num_columns - 1, "since", pa.array([7])), "second", TOMORROW)
        assert ids(lake) == ["a"]
        assert lake.snapshot("splits", NIGHT).read()["since"].to_pylist() == [None]
        assert lake.snapshot("splits", TOMORROW).read()["since"].to_pylist() == [7]
        found = lake.open("splits").to_pyarrow_table().sort_by("item_id")  # as any other reader of Delta sees it
        assert found["since"].to_pylist() == [None, 7]


def test_a_failed_audit_publishes_nothing_and_says_what_and_where(lake):
    stage = lake.stage("splits", NIGHT, "bad")
    write(stage, rows("a", split="holdout"))

    def audit(table, files):
        return audit_rows(table, staged_dataset(table, files))

    with pytest.raises(AuditFailed, match="in_set") as failure:
        lake.publish(stage, audit, {})
    assert stage.uri in str(failure.value)
    assert lake.open("splits") is None
    with pytest.raises(LakeError, match="no partition"):
        lake.snapshot("splits", NIGHT)


def test_a_missing_and_an_unexpected_column_are_listed_together(lake):
    stage = lake.stage("splits", NIGHT, "bad")
    write(stage, rows("a").drop_columns(["weight"]).append_column("extra", pa.array([1])))
    with pytest.raises(SchemaMismatch) as failure:
        lake.publish(stage, accept, {})
    assert len(failure.value.problems) == 2


@pytest.mark.parametrize("table_exists", [False, True], ids=["first write of the table", "first write of a partition"])
def test_two_concurrent_publishers_of_a_new_partition_end_with_one_winner(lake, table_exists):
    if table_exists:
        publish(lake, rows("z"), "before", date(2026, 11, 21))
    stages = [lake.stage("splits", NIGHT, name) for name in ("left", "right")]
    for stage, item in zip(stages, "lr", strict=True):
        write(stage, rows(item))
    barrier, errors, winners = threading.Barrier(2), [], []

    def run(stage):
        def audit(table, files):
            barrier.wait()
            return []

        try:
            winners.append(lake.publish(stage, audit, {}))
        except PublishConflict as conflict:
            errors.append(conflict)

    threads = [threading.Thread(target=run, args=[stage]) for stage in stages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert "published this partition first" in str(errors[0])
    assert len(ids(lake)) == 1


def test_a_stale_attempt_is_refused_even_when_it_comes_long_after(lake):
    publish(lake, rows("a"), "first")
    stale = lake.stage("splits", NIGHT, "stale")
    write(stale, rows("old"))
    publish(lake, rows("b"), "second")
    with pytest.raises(PublishConflict):
        lake.publish(stale, accept, {})
    assert ids(lake) == ["b"]


def test_each_commit_names_its_run_and_the_versions_of_its_inputs(lake):
    publish(lake, rows("a"), "first")
    note = next(c["nightrec"] for c in lake.open("splits").history() if "nightrec" in c)
    assert '"inputs": {"interactions": 7}' in note
    assert '"run_id": "first"' in note


def test_a_partition_may_be_empty_and_still_be_published(lake):
    stage = lake.stage("quarantine", NIGHT, "one")
    published = lake.publish(stage, accept, {})
    assert published.rows == 0
    assert lake.snapshot("quarantine", NIGHT).read().num_rows == 0


def test_a_night_knows_its_own_and_earlier_partitions_only(lake):
    publish(lake, rows("a"), "one", date(2026, 11, 20))
    publish(lake, rows("future"), "two", date(2026, 11, 24))
    assert lake.latest("splits", NIGHT).run_date == date(2026, 11, 20)
    publish(lake, rows("own"), "three")
    assert lake.latest("splits", NIGHT).run_date == NIGHT
    assert lake.latest("splits", date(2026, 11, 1)) is None


def test_files_of_a_killed_attempt_are_not_mixed_in(lake):
    write(lake.stage("splits", NIGHT, "one"), rows("half"), "part-9.parquet")
    stage = lake.stage("splits", NIGHT, "one")
    write(stage, rows("whole"))
    lake.publish(stage, accept, {})
    assert ids(lake) == ["whole"]


def test_an_engine_that_was_killed_before_its_first_file_is_not_in_the_way(lake):
    first = lake.stage("splits", NIGHT, "one")
    hidden = Path(first.uri) / "_temporary" / "0"
    hidden.mkdir(parents=True)
    again = lake.stage("splits", NIGHT, "one")
    assert not Path(again.uri).exists()  # Spark refuses to write into a folder that is there


def test_other_engines_read_what_was_published(lake, tmp_path):
    import duckdb
    import polars

    publish(lake, rows("a", "b"), "first")
    uri = lake.uri("splits")
    assert polars.read_delta(uri).height == 2
    published = lake.open("splits").to_pyarrow_table()
    connection = duckdb.connect()
    connection.register("published", published)
    assert connection.execute("select count(*) from published").fetchone() == (2,)


def test_a_lake_that_cannot_be_written_says_so(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where the lake should be")
    lake = Lake(str(blocked / "lake"))
    from schemas.storage import write_text

    with pytest.raises(LakeError, match="writable"):
        write_text(f"{lake.root}/_runs/x/config.json", "{}")
