"""The registry: nights find a champion only when all of it is there, and only for the model that they use."""

from datetime import date

import numpy as np
import pytest

from ray_tasks.statistics import Estimate, Figure
from ray_tasks.tuning import registry
from ray_tasks.tuning.lora import Adapter, Point
from ray_tasks.tuning.profiles import TUNED_PROMPTS
from ray_tasks.tuning.promotion import Verdict
from schemas.champions import champion_adapter, mlflow_client, registered_name
from schemas.config import freeze
from schemas.errors import ModelError

BASE, TUNED = "a" * 64, "b" * 64
ADAPTER = Adapter(
    {"adapter_model.safetensors": b"weights", "adapter_config.json": b"{}"},
    (Point(5, 1.0, 100, float("nan"), 2.0), Point(10, 2.0, 200, 1.5, 1.2)),
    84,
    10,
    200,
    2.0,
    "epochs",
)
FIGURES = [Figure("lora", "item", "labels", "micro_f1", Estimate(0.5, 0.4, 0.6, 20, np.zeros(0)))]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    events = {"format": "csv", "path": "events.csv", "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}}
    items = {"format": "csv", "path": "items.csv", "columns": {"item_id": "i", "title": "t"}}
    return freeze(
        {"source": {"name": "my/shop", "interactions": events, "items": items}},
        run_date=date(2026, 1, 2),
        lake=str(folder / "lake"),
        mlflow_tracking_uri=f"sqlite:///{folder}/new/mlflow.db",
        generator__path=str(folder / "base"),
        generator__model="tiny",
        encoder__path=str(folder / "encoder"),
    )


@pytest.fixture(scope="module")
def run(config):
    assert champion_adapter(config.mlflow_tracking_uri, "my/shop", "tiny") is None  # no store at all yet
    return registry.log_run(config, ADAPTER, FIGURES, Verdict(False, ("label F1 is not above",)), BASE)


def champion(config, model="tiny"):
    return champion_adapter(config.mlflow_tracking_uri, config.source.name, model)


def test_a_run_holds_curve_figures_adapter_and_verdict(config, run):
    client = mlflow_client(config.mlflow_tracking_uri)
    found = client.get_run(run)
    assert [(m.step, m.value) for m in client.get_metric_history(run, "validation_loss")] == [(5, 2.0), (10, 1.2)]
    assert found.data.metrics["lora.item.labels.micro_f1"] == 0.5
    assert found.data.params["rank"] == str(config.tuning.rank)
    assert found.data.tags["nightrec.verdict"] == "label F1 is not above"
    assert {entry.path for entry in client.list_artifacts(run, "adapter")} == {
        f"adapter/{name}" for name in ADAPTER.files
    }


def test_a_challenger_is_no_champion(config, run):
    assert registry.register(config, run, BASE, TUNED, None, TUNED_PROMPTS)["alias"] == "challenger"
    assert champion(config) is None


def test_a_champion_is_found_for_its_model_only_and_missed_when_its_folder_is_gone(config, run, tmp_path):
    folder = tmp_path / "tuned"
    folder.mkdir()
    version = registry.register(config, run, BASE, TUNED, str(folder), TUNED_PROMPTS)
    found = champion(config)
    assert (found.folder, found.revision, found.version) == (str(folder), TUNED, version["version"])
    assert found.item_prompt == "item_profile.tuned.v1"
    assert champion(config, "another model") is None
    folder.rmdir()
    with pytest.raises(ModelError, match=r"set generator\.adapter to null"):
        champion(config)


def test_a_later_challenger_leaves_the_champion(config, run, tmp_path):
    first = registry.register(config, run, BASE, TUNED, str(tmp_path), TUNED_PROMPTS)
    second = registry.register(config, run, BASE, "d" * 64, None, TUNED_PROMPTS)
    assert champion(config).version == first["version"]
    client = mlflow_client(config.mlflow_tracking_uri)
    name = registered_name(config.source.name)
    assert str(client.get_model_version_by_alias(name, "challenger").version) == second["version"]
