"""A task reads what its run published, and its record tells how it went."""

import json
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.config import freeze
from schemas.errors import LakeError
from schemas.night import load_config, night_task, save_config, task_records
from schemas.storage import resolve
from schemas.tables import TABLES


@pytest.fixture
def config_uri(tmp_path, monkeypatch):
    for name in ("NIGHTREC_LAKE", "NIGHTREC_ASSETS", "NIGHTREC_MLFLOW"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    source = {"format": "csv", "path": "x.csv"}
    interactions = {**source, "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}}
    items = {**source, "columns": {"item_id": "i", "title": "t"}}
    document = {"source": {"name": "toy", "interactions": interactions, "items": items}}
    return save_config(freeze(document, run_id="manual__2026-11-22T02:00:00+00:00", run_date=date(2026, 11, 22)))


def publish_items(task, *ids):
    rows = [{"item_id": i, "title": i, "description": None, "categories": [], "texts": []} for i in ids]
    stage = task.stage("items")
    filesystem, path = resolve(stage.uri)
    filesystem.create_dir(path)
    pq.write_table(pa.Table.from_pylist(rows, schema=TABLES["items"].schema), f"{path}/part-0.parquet")
    return task.publish(stage)


def test_a_config_survives_its_round_trip(config_uri):
    config = load_config(config_uri)
    assert config.run_date == date(2026, 11, 22)
    assert load_config(save_config(config)) == config


def test_a_later_task_reads_the_version_that_its_run_published(config_uri):
    with night_task("ingest", config_uri) as task:
        publish_items(task, "a")
    with night_task("elsewhere", config_uri) as other:
        publish_items(other, "b")
    with night_task("ingest", config_uri) as task:
        publish_items(task, "c")
    records = task_records(load_config(config_uri))
    assert records["ingest"]["attempt"] == 2
    assert records["ingest"]["outputs"]["items"]["rows"] == 1


def test_reading_what_no_task_published_is_refused(config_uri):
    with night_task("features", config_uri) as task, pytest.raises(LakeError, match="needs table interactions"):
        task.read("interactions")


def test_a_failure_is_recorded_with_its_reason_and_raised(config_uri):
    with pytest.raises(ValueError, match="broken"), night_task("ranking", config_uri):
        raise ValueError("broken")
    record = task_records(load_config(config_uri))["ranking"]
    assert (record["status"], record["error"]) == ("failed", "ValueError: broken")
    assert record["seconds"] >= 0


def test_each_commit_carries_run_config_and_input_versions(config_uri):
    with night_task("ingest", config_uri) as task:
        first = publish_items(task, "a")
    with night_task("later", config_uri) as task:
        task.read("items")
        stage = task.stage("quarantine")
        task.publish(stage)
        note = json.loads(next(c["nightrec"] for c in task.lake.open("quarantine").history() if "nightrec" in c))
    assert note["inputs"] == {"items": first.version}
    assert note["config_hash"] == load_config(config_uri).config_hash
