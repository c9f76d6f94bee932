"""The manifest pins a night's versions, is written last, and going back is one more row."""

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import manifest as manifest_module
from schemas import night as night_module
from schemas.config import freeze
from schemas.errors import LakeError, PublishConflict
from schemas.lake import Published
from schemas.manifest import go_back, publish_night, read_manifest
from schemas.night import load_config, night_task, save_config, task_records
from schemas.storage import resolve
from schemas.tables import OUTSIDE, TABLES

NIGHT = date(2026, 11, 22)
OTHERS = [name for name in TABLES if name not in ("items", "runs", *OUTSIDE)]


@pytest.fixture
def lake(tmp_path, monkeypatch) -> str:
    for name in ("NIGHTREC_LAKE", "NIGHTREC_ASSETS", "NIGHTREC_MLFLOW"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return str(tmp_path / "nightrec_lake")


def frozen(run_id: str, night: date = NIGHT, **changes) -> str:
    source = {"format": "csv", "path": "x.csv"}
    interactions = {**source, "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}}
    items = {**source, "columns": {"item_id": "i", "title": "t"}}
    document = {"source": {"name": "toy", "interactions": interactions, "items": items}}
    return save_config(freeze(document, run_id=run_id, run_date=night, **changes))


def run_tasks(config_uri: str, *ids: str, without: str = "") -> Published:
    """Publish `items` for real; of the other tables only the record matters to the manifest."""
    with night_task("ingest", config_uri) as task:
        rows = [{"item_id": i, "title": i, "description": None, "categories": [], "texts": []} for i in ids]
        stage = task.stage("items")
        filesystem, path = resolve(stage.uri)
        filesystem.create_dir(path)
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES["items"].schema), f"{path}/part-0.parquet")
        published = task.publish(stage)
        task.outputs.update(
            {t: {"version": 4, "rows": 1, "content_hash": "x", "changed": True} for t in OTHERS if t != without}
        )
    return published


def run(run_id: str, *ids: str, night: date = NIGHT) -> Published:
    config_uri = frozen(run_id, night)
    published = run_tasks(config_uri, *ids)
    publish_night(config_uri)
    return published


def test_the_manifest_names_every_table_of_the_night(lake):
    items = run("first", "a", "b")
    manifest = read_manifest(lake, NIGHT)
    assert set(manifest.versions) == set(TABLES) - {"runs", *OUTSIDE}
    assert manifest.tables["items"].rows == 2
    assert (manifest.versions["items"], manifest.run_id, manifest.sequence) == (items.version, "first", 1)
    assert manifest.config_hash == load_config(frozen("first")).config_hash


def test_a_night_without_its_row_does_not_exist(lake):
    run_tasks(frozen("first"), "a")
    with pytest.raises(LakeError, match="2026-11-22 has not been published"):
        read_manifest(lake, NIGHT)


def test_a_missing_table_and_a_failed_task_stop_the_publication(lake):
    config_uri = frozen("first")
    run_tasks(config_uri, "a", without="evaluations")
    with pytest.raises(ValueError, match="broken"), night_task("ranking", config_uri):
        raise ValueError("broken")
    with pytest.raises(LakeError, match=r"published: evaluations\. Tasks that failed: ranking\."):
        publish_night(config_uri)
    with pytest.raises(LakeError, match="has not been published"):
        read_manifest(lake, NIGHT)
    assert task_records(load_config(config_uri))["publish_night"]["status"] == "failed"


def test_a_retry_after_a_failure_publishes(lake):
    config_uri = frozen("first")
    with pytest.raises(LakeError, match="Tasks that have run: none"):
        publish_night(config_uri)
    run_tasks(config_uri, "a")
    assert publish_night(config_uri)["changed"]
    assert read_manifest(lake, NIGHT).sequence == 1


def test_a_rerun_with_the_same_content_appends_nothing(lake):
    run("first", "a")
    config_uri = frozen("second")
    run_tasks(config_uri, "a")
    published = publish_night(config_uri)
    assert (published["changed"], published["rows"]) == (False, 1)
    assert read_manifest(lake, NIGHT).run_id == "first"


@pytest.mark.parametrize("changed", ["code", "configuration"])
def test_the_same_content_by_other_code_or_another_configuration_is_one_more_row(lake, monkeypatch, changed):
    items = run("first", "a")
    if changed == "code":
        monkeypatch.setattr(night_module, "code_digest", lambda: "mended")
    config_uri = frozen("second", **({"seed": 7} if changed == "configuration" else {}))
    for _ in range(2):
        run_tasks(config_uri, "a")
        publish_night(config_uri)
    found = read_manifest(lake, NIGHT)
    assert (found.run_id, found.sequence, found.versions["items"]) == ("second", 2, items.version)


def test_the_same_content_at_a_later_version_of_the_table_appends_nothing(lake):
    run("first", "a")
    run("next day", "z", night=date(2026, 11, 23))
    again = run("again", "a")
    assert not again.changed
    assert read_manifest(lake, NIGHT).run_id == "first"


def test_a_rerun_with_other_content_counts_and_the_earlier_row_stays_readable(lake):
    first, second = run("first", "a"), run("second", "b")
    assert read_manifest(lake, NIGHT).versions["items"] == second.version
    assert read_manifest(lake, NIGHT, sequence=1).versions["items"] == first.version


def test_sequence_grows_over_all_nights(lake):
    run("first", "a")
    run("next day", "a", night=date(2026, 11, 23))
    assert read_manifest(lake, date(2026, 11, 23)).sequence == 2
    assert read_manifest(lake, NIGHT).sequence == 1


def test_going_back_is_one_more_row_that_names_the_earlier_versions(lake):
    first = run("first", "a")
    run("second", "b")
    restored = go_back(lake, NIGHT, 1)
    assert (restored.sequence, restored.run_id, restored.versions["items"]) == (3, "first", first.version)
    assert read_manifest(lake, NIGHT) == restored


def test_after_going_back_a_rerun_counts_again(lake):
    run("first", "a")
    second = run("second", "b")
    go_back(lake, NIGHT, 1)
    run("third", "b")
    assert read_manifest(lake, NIGHT).versions["items"] == second.version
    assert read_manifest(lake, NIGHT).sequence == 4


def test_going_back_to_a_row_that_is_not_there_names_those_that_are(lake):
    run("first", "a")
    with pytest.raises(LakeError, match=r"no row 9 in table runs of .*; it has 1"):
        go_back(lake, NIGHT, 9)


def test_a_publisher_that_is_overtaken_is_told_so_and_loses_no_row(lake, monkeypatch):
    run("first", "a")
    config_uri = frozen("slow")
    run_tasks(config_uri, "b")
    write = manifest_module.write_rows

    def overtaken(stage, rows):
        monkeypatch.setattr(manifest_module, "write_rows", write)
        go_back(lake, NIGHT, 1)
        write(stage, rows)

    monkeypatch.setattr(manifest_module, "write_rows", overtaken)
    with pytest.raises(PublishConflict):
        publish_night(config_uri)
    assert read_manifest(lake, NIGHT).sequence == 2
