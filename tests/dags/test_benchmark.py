"""The DAG of the ranking benchmark: it explains itself, and freezes what is measured from its Params."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from dags.benchmark_params import benchmark_params, save_benchmark_run
from dags.benchmark_steps import BENCHMARK_STEPS
from schemas.benchmark import load_benchmark
from schemas.candidates_config import SOURCES, Candidates
from schemas.errors import ConfigError
from schemas.night import load_config

WHEN = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def dag():
    bag = DagBag(str(Path(__file__).parents[2] / "dags" / "benchmark.py"))
    assert bag.import_errors == {}
    return bag.dags["benchmark"]


def save(shop, **params):
    uri = save_benchmark_run({"source": str(shop), "protocol": "p1", **params}, "benchmark__1", WHEN)
    config = load_config(uri)
    return config, load_benchmark(config)


def test_the_dag_is_triggered_by_hand_and_compares_after_freezing(dag):
    assert dag.schedule is None
    assert {task.task_id: set(task.upstream_task_ids) for task in dag.tasks} == {
        "freeze_config": set(),
        "benchmark_ranking": {"freeze_config"},
    }
    assert [outlet.name for task in dag.tasks for outlet in task.outlets] == ["benchmark_evaluations"]


def test_every_task_retries_has_a_limit_and_explains_itself(dag):
    for task in dag.tasks:
        assert task.retries >= 1
        assert task.execution_timeout == BENCHMARK_STEPS[task.task_id].limit
        assert "**When it fails:**" in task.doc_md
        assert task.on_failure_callback


def test_every_param_is_typed_titled_and_described(dag):
    for name, param in benchmark_params().items():
        assert param.schema["type"], name
        assert param.schema["title"], name
        assert param.schema["section"], name
        assert len(param.description) > 20, name
        assert name in dag.params


@pytest.mark.parametrize(
    ("name", "value"), [("protocol", "p3"), ("sources", ["magic"]), ("sources", "ease"), ("users", 9), ("users", "20")]
)
def test_what_cannot_be_measured_is_refused_by_the_form(name, value):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        benchmark_params()[name].resolve(value)


@pytest.mark.parametrize(
    ("name", "value"), [("protocol", "both"), ("sources", list(SOURCES)), ("sources", None), ("users", 10)]
)
def test_what_can_be_measured_is_taken(name, value):
    assert benchmark_params()[name].resolve(value) == value


def test_an_empty_form_measures_all_users_with_the_files_sources(shop):
    config, benchmark = save(shop, sources=[], users=None, seed=None)
    assert config.night == date(2026, 11, 22)
    assert config.candidates == Candidates()
    assert (benchmark.protocols, benchmark.users, config.seed) == (("p1",), None, 20_241)
    assert config.ranking.top_k == 12  # what the file says stays


def test_what_was_asked_for_is_frozen(shop):
    config, benchmark = save(shop, protocol="both", sources=["ease", "ials"], users=500, seed=7)
    assert (benchmark.protocols, benchmark.users, config.seed) == (("p1", "p2"), 500, 7)
    assert config.candidates.used == ("popularity", "ease", "ials")


def test_an_unknown_source_is_refused_by_name(shop):
    with pytest.raises(ConfigError, match="magic"):
        save(shop, sources=["ease", "magic"])
