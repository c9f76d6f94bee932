"""The weekly DAG: it explains itself, publishes what no night waits for, and keeps its records apart from nights'."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from dags.params import night_params
from dags.weekly_steps import WEEKLY_STEPS
from schemas.tables import OUTSIDE, TABLES

FILE = Path(__file__).parents[2] / "dags" / "weekly_tuning.py"


@pytest.fixture(scope="module")
def weekly():
    bag = DagBag(str(FILE))
    assert bag.import_errors == {}
    return bag.dags["weekly_tuning"]


def test_the_configuration_is_frozen_before_the_tuning(weekly):
    assert {task.task_id: set(task.upstream_task_ids) for task in weekly.tasks} == {
        "freeze_config": set(),
        "tune_generator": {"freeze_config"},
    }
    assert set(WEEKLY_STEPS) == set(weekly.task_dict)


def test_every_task_retries_has_a_limit_and_explains_itself(weekly):
    for task in weekly.tasks:
        assert task.retries >= 1, task.task_id
        assert task.execution_timeout, task.task_id
        assert "**When it fails:**" in task.doc_md, task.task_id
        assert task.on_failure_callback, task.task_id


def test_it_publishes_a_table_that_no_night_waits_for(weekly):
    outlets = [outlet.name for task in weekly.tasks for outlet in task.outlets]
    assert outlets == ["tuning_trials"]
    assert set(outlets) <= set(OUTSIDE)
    assert set(WEEKLY_STEPS["tune_generator"].reads) <= set(TABLES) - set(OUTSIDE)


def test_it_takes_the_params_of_a_night(weekly):
    assert set(weekly.params) == set(night_params())


def test_a_week_ends_on_sunday_morning(weekly):
    from airflow.serialization.serialized_objects import DagSerialization

    timetable = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(weekly)).timetable
    interval = timetable.infer_manual_data_interval(run_after=datetime(2026, 11, 25, 6, tzinfo=UTC))
    assert interval.end == datetime(2026, 11, 22, 6, tzinfo=UTC)
    assert (interval.end - interval.start).days == 7


def test_its_records_never_mix_with_a_nights(weekly, monkeypatch):
    from dags import freezing

    seen = []
    freeze = weekly.get_task("freeze_config").python_callable
    monkeypatch.setattr(freezing, "save_frozen", lambda params, run_id, end, champion: seen.append(run_id) or "uri")
    monkeypatch.setitem(freeze.__globals__, "get_current_context", dict)
    assert freeze({}, "scheduled__2026-11-22") == "uri"
    assert seen == ["weekly_tuning__scheduled__2026-11-22"]
