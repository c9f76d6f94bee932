"""Policy of the DAG folder: it parses light, and every DAG, task and Param explains itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from dags.params import OVERRIDES, night_params
from dags.steps import STEPS
from schemas.candidates_config import Candidates
from schemas.config import Features
from schemas.generation_config import Generator
from schemas.ranking_config import Ranking
from schemas.tables import OUTSIDE, TABLES

HOME = Path(__file__).parents[2]
FOLDER = HOME / "dags"
HEAVY = (
    "pyspark",
    "ray",
    "torch",
    "great_expectations",
    "transformers",
    "sentence_transformers",
    "mlflow",
    "deltalake",
)
DAGS = {"nightly_recommendations", "weekly_tuning", "shadow_run", "benchmark"}


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(str(FOLDER))


@pytest.fixture(scope="module")
def night(bag):
    return bag.dags["nightly_recommendations"]


def every(night):
    return list(night.tasks)


def test_the_folder_parses_without_errors(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == DAGS


def test_only_dag_files_are_parsed(bag):
    parsed = {Path(stat.file).name for stat in bag.dagbag_stats}
    assert {name.removesuffix(".py") for name in parsed} == DAGS


def test_a_parse_imports_no_engine():
    code = f"""
import json, sys, time
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
start = time.monotonic()
bag = DagBag({str(FOLDER)!r})
seconds = time.monotonic() - start
print(json.dumps([bag.import_errors, seconds, sorted(n for n in {HEAVY!r} if n in sys.modules and n not in before)]))
"""
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    errors, seconds, heavy = json.loads(done.stdout.splitlines()[-1])
    print(f"the folder parses in {seconds:.2f} s")
    assert errors == {}
    assert heavy == []


def test_every_dag_says_whose_it_is_and_what_it_does(bag):
    for dag in bag.dags.values():
        assert dag.tags, dag.dag_id
        assert dag.doc_md, dag.dag_id
        assert dag.description, dag.dag_id
        assert dag.owner == "nightrec"
        assert dag.max_active_runs == 1
        assert not dag.catchup


def test_every_task_retries_with_backoff_has_a_limit_and_explains_itself(night):
    for task in every(night):
        assert task.retries >= 1, task.task_id
        assert task.retry_exponential_backoff > 1, task.task_id
        assert task.execution_timeout, task.task_id
        assert "**When it fails:**" in task.doc_md, task.task_id
        assert task.on_failure_callback, task.task_id


def test_every_param_is_typed_titled_described_and_in_a_section(night):
    for name, param in night_params().items():
        assert param.schema["type"], name
        assert param.schema["title"], name
        assert param.schema["section"], name
        assert len(param.description) > 20, name
        assert name in night.params


@pytest.mark.parametrize(
    ("name", "section", "field"),
    [
        ("top_k", Ranking, "top_k"),
        ("candidates_per_source", Candidates, "per_source"),
        ("nightly_token_budget", Generator, "nightly_token_budget"),
        ("max_users", Features, "max_users"),
    ],
)
def test_number_params_are_bounded_exactly_as_the_configuration(name, section, field):
    schema = night_params()[name].schema
    limits = {type(rule).__name__: rule for rule in section.model_fields[field].metadata}
    assert schema["type"] == ["null", "integer"]
    assert schema["minimum"] == limits["Ge"].ge
    assert schema.get("maximum") == (limits["Le"].le if "Le" in limits else None)
    assert night_params()[name].resolve(None) is None


@pytest.mark.parametrize("value", [0, 501, "7", 2.5])
def test_a_param_out_of_bounds_is_refused_by_the_form(value):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        night_params()["top_k"].resolve(value)


def test_every_override_is_a_field_of_the_configuration():
    from schemas.config import RunConfig

    for place in OVERRIDES.values():
        section, _, field = place.rpartition("__")
        assert field in (RunConfig.model_fields[section].annotation if section else RunConfig).model_fields
    assert set(OVERRIDES) == set(night_params()) - {"source", "run_date"}


def test_the_shipped_configurations_are_offered(night):
    offered = night_params()["source"].schema["examples"]
    assert {Path(path).name for path in offered} >= {path.name for path in (HOME / "infra" / "configs").glob("*.yaml")}
    assert all(Path(path).is_file() for path in offered)


def test_the_tasks_come_in_their_order(night):
    after = {
        "freeze_config": set(),
        "ingest": {"freeze_config"},
        "features": {"ingest"},
        "vocabularies": {"features"},
        "item_profiles": {"vocabularies"},
        "user_profiles": {"item_profiles"},
        "embeddings": {"user_profiles"},
        "candidates": {"embeddings"},
        "ranking": {"candidates"},
        "explanations": {"ranking"},
        "request_recommendations": {"explanations"},
        "evaluation": {"request_recommendations"},
        "experiment_readouts": {"evaluation"},
        "publish_night": {"experiment_readouts", "freeze_config"},
        "report": {"publish_night"},
    }
    assert {task.task_id: set(task.upstream_task_ids) for task in every(night)} == after


def test_every_table_is_the_outlet_of_exactly_one_task(night):
    outlets = [outlet.name for task in every(night) for outlet in task.outlets]
    assert sorted(outlets) == sorted(set(TABLES) - set(OUTSIDE))


def test_a_task_reads_only_what_tasks_before_it_publish(night):
    for name, step in STEPS.items():
        task = night.get_task(name)
        before = {table for up in task.get_flat_relative_ids(upstream=True) for table in STEPS[up].publishes}
        assert set(step.reads) <= before, name


def test_the_night_has_a_real_day_interval(night):
    from datetime import UTC, datetime

    from airflow.serialization.serialized_objects import DagSerialization

    timetable = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(night)).timetable
    interval = timetable.infer_manual_data_interval(run_after=datetime(2026, 11, 22, 6, tzinfo=UTC))
    assert (interval.end - interval.start).total_seconds() == 86_400
    assert interval.end == datetime(2026, 11, 22, 2, tzinfo=UTC)


def test_dag_files_are_thin():
    for path in FOLDER.glob("*.py"):
        limit = 100 if "with DAG(" in path.read_text() else 250
        assert len(path.read_text().splitlines()) <= limit, path.name


def test_dags_use_nothing_that_airflow_has_left_behind():
    ruff = Path(sys.executable).parent / "ruff"
    done = subprocess.run([ruff, "check", "--select", "AIR", FOLDER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
