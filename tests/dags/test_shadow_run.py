"""The DAG of a shadow run: it explains itself, and freezes champion and challenger from its Params."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from dags.shadow_params import CHALLENGER, save_shadow_run, shadow_params
from dags.shadow_steps import SHADOW_STEPS
from schemas.errors import ConfigError
from schemas.generation_config import Generator
from schemas.night import load_config
from schemas.shadow import load_shadow

WHEN = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def dag():
    bag = DagBag(str(Path(__file__).parents[2] / "dags" / "shadow_run.py"))
    assert bag.import_errors == {}
    return bag.dags["shadow_run"]


def save(shop, **params):
    uri = save_shadow_run({"source": str(shop), "sample": 20, "promote": False, **params}, "shadow_run__1", WHEN)
    config = load_config(uri)
    return config, load_shadow(config)


def test_the_dag_is_triggered_by_hand_and_compares_after_freezing(dag):
    assert dag.schedule is None
    assert {task.task_id: set(task.upstream_task_ids) for task in dag.tasks} == {
        "freeze_config": set(),
        "shadow_run": {"freeze_config"},
    }
    assert [outlet.name for task in dag.tasks for outlet in task.outlets] == ["shadow_trials"]


def test_every_task_retries_has_a_limit_and_explains_itself(dag):
    for task in dag.tasks:
        assert task.retries >= 1
        assert task.execution_timeout == SHADOW_STEPS[task.task_id].limit
        assert "**When it fails:**" in task.doc_md
        assert task.on_failure_callback


def test_every_param_is_typed_titled_and_described(dag):
    for name, param in shadow_params().items():
        assert param.schema["type"], name
        assert param.schema["title"], name
        assert param.schema["section"], name
        assert len(param.description) > 20, name
        assert name in dag.params


def test_a_challenger_changes_fields_that_the_generator_has():
    assert set(CHALLENGER) <= set(Generator.model_fields)


@pytest.mark.parametrize("value", [9, 5_001, "20"])
def test_a_sample_out_of_bounds_is_refused_by_the_form(value):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        shadow_params()["sample"].resolve(value)


def test_champion_and_challenger_differ_only_in_what_was_asked_for(shop):
    config, shadow = save(shop, challenger_item_prompt="item_profile.v9", promote=True, llm_model="Mine")
    assert config.night == date(2026, 11, 22)
    assert config.generator.model == shadow.challenger.model == "Mine"
    assert shadow.challenger == config.generator.model_copy(update={"item_prompt": "item_profile.v9"})
    assert (shadow.sample, shadow.promote) == (20, True)


def test_a_model_takes_its_name_from_its_folder_unless_it_is_given(shop):
    _, unnamed = save(shop, challenger_path="/models/Qwen-1B")
    _, named = save(shop, challenger_path="/models/Qwen-1B", challenger_model="Qwen")
    assert (unnamed.challenger.model, unnamed.challenger.path) == ("Qwen-1B", "/models/Qwen-1B")
    assert named.challenger.model == "Qwen"


def test_a_challenger_can_do_without_the_adapter(shop):
    config, shadow = save(shop, challenger_adapter="none")
    assert config.generator.adapter is None  # none has been promoted
    assert shadow.challenger.adapter is None


def test_a_run_without_a_challenger_is_refused(shop):
    with pytest.raises(ConfigError, match="there is nothing to try: set one of challenger_item_prompt"):
        save(shop, challenger_item_prompt="")
