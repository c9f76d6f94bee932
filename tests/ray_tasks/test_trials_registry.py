"""Prompts in a real MLflow registry: known by their digest, trusted by an alias that only promotion moves."""

import pytest

from schemas.champions import mlflow_client
from schemas.prompt_registry import champion_prompt, promote_prompt, register_prompts, split_version


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/new/mlflow.db"


def test_registering_promoting_and_registering_again(store):
    assert champion_prompt(store, "item_profile") is None
    texts = {"item_profile.v1": "Describe.", "user_profile.v1": 'Say {"likes": []}.', "item_profile.v2": "Describe!"}
    first = register_prompts(store, texts)
    assert {version: (one.name, one.number) for version, one in first.items()} == {
        "item_profile.v1": ("item_profile", 1),
        "user_profile.v1": ("user_profile", 1),
        "item_profile.v2": ("item_profile", 2),
    }
    assert champion_prompt(store, "item_profile") == "v1"
    assert register_prompts(store, texts) == first
    assert len(mlflow_client(store).search_prompt_versions("item_profile")) == 2
    promote_prompt(store, first["item_profile.v2"])
    assert champion_prompt(store, "item_profile") == "v2"
    assert register_prompts(store, texts) == first
    assert champion_prompt(store, "item_profile") == "v2"
    edited = register_prompts(store, {"item_profile.v2": "Describe it all."})
    assert edited["item_profile.v2"].number == 3
    assert champion_prompt(store, "item_profile") == "v2"
    kept = mlflow_client(store).get_prompt_version("user_profile", 1)
    assert kept.template == 'Say {"likes": []}.'


def test_a_version_is_a_name_and_a_tag():
    assert split_version("item_profile.v2") == ("item_profile", "v2")
    assert split_version("item_profile.tuned.v1") == ("item_profile", "tuned.v1")
