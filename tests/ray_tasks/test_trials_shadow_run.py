"""The whole shadow run on a small lake: what it compares, keeps, tracks and promotes."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from shadow_night import PROMPTS, FakeWriter, publish_small_night, small_config

from ray_tasks import shadow_run
from ray_tasks.evidence.pieces import Evidence, Piece
from ray_tasks.profiles import writer
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.profiles.wire import to_wire
from ray_tasks.trials import arms
from schemas.champions import mlflow_client
from schemas.errors import ConfigError, LakeError
from schemas.generation_config import Generator
from schemas.lake import Lake
from schemas.night import night_task, run_folder, save_config, task_records
from schemas.prompt_registry import champion_prompt, register_prompts
from schemas.shadow import Shadow, load_shadow, save_shadow


@pytest.fixture
def shadow(tmp_path, monkeypatch):
    """Run the task; returns (rows by (arm, kind, metric), the task's record, the configuration)."""
    monkeypatch.setattr(writer, "make_generator", lambda config, prefix, threads: FakeWriter(config.model))
    load = PromptFile.load
    texts = {**dict.fromkeys(PROMPTS.values(), "Describe."), "item_profile.trial": "Describe the item in JSON."}
    extra = {version: PromptFile(version, text) for version, text in texts.items()}
    monkeypatch.setattr(PromptFile, "load", lambda version: extra.get(version) or load(version))
    publish_small_night(small_config(tmp_path, "night"))

    def run(champion: str = "good", promote: bool = False, run_id: str = "shadow", sample: int = 24, **challenger):
        config = small_config(tmp_path, run_id, model=champion)
        other = config.generator.model_copy(update=challenger)
        save_shadow(config, Shadow(challenger=other, sample=sample, promote=promote))
        with night_task("shadow_run", save_config(config)) as task:
            shadow_run.shadow_run(task, load_shadow(config))
        rows = Lake(config.lake).snapshot("shadow_trials", config.night).read().to_pylist()
        found = {(row["arm"], row["kind"], row["metric"]): row for row in rows}
        return found, task_records(config)["shadow_run"], config

    return run


def test_a_challenger_that_mumbles_is_worse_and_never_promoted(shadow):
    rows, record, config = shadow(model="bad", item_prompt="item_profile.trial", promote=True)
    assert record["counters"]["verdict"] == "worse"
    assert record["counters"]["promoted"] == []
    for kind in ("item", "user"):
        assert rows["champion", kind, "validity"]["value"] == 1.0
        assert rows["challenger", kind, "validity"]["value"] == 0.0
        assert rows["difference", kind, "accepted"]["value"] == -1.0
        assert rows["challenger", kind, "rejected.unparsable"]["value"] == 1.0
        assert rows["challenger", kind, "tokens_per_answer"]["value"] == 30.0  # two attempts of 10 + 5
        assert rows["champion", kind, "tokens_per_answer"]["value"] == 15.0
        assert ("challenger", kind, "agreement") not in rows  # no accepted pair
    assert champion_prompt(config.mlflow_tracking_uri, "item_profile") == "base"


def test_a_challenger_is_better_than_a_champion_that_mumbles(shadow):
    _, record, _ = shadow("bad", model="good")
    assert record["counters"]["verdict"] == "better"


def test_a_prompt_alone_is_compared_on_its_own_kind_and_promoted_where_told_to(shadow):
    rows, record, config = shadow(item_prompt="item_profile.trial", run_id="first")
    assert {kind for _, kind, _ in rows} == {"item"}
    assert rows["challenger", "item", "agreement"]["value"] == 1.0
    assert rows["challenger", "item", "ndcg_10"]["value"] == rows["champion", "item", "ndcg_10"]["value"] > 0
    assert rows["challenger", "item", "grounding"]["prompt_version"] == "item_profile.trial"
    assert rows["difference", "item", "grounding"]["prompt_version"] is None
    assert record["counters"]["verdict"] == "equal"
    assert champion_prompt(config.mlflow_tracking_uri, "item_profile") == "base"
    again, record, _ = shadow(item_prompt="item_profile.trial", run_id="second", promote=True)
    assert again == rows
    assert not record["outputs"]["shadow_trials"]["changed"]
    assert record["counters"]["promoted"] == ["item_profile.trial"]
    assert champion_prompt(config.mlflow_tracking_uri, "item_profile") == "trial"


def test_json_plot_and_mlflow_run_are_kept_and_a_retry_uses_the_same_run(shadow):
    _, first, config = shadow(model="good too")
    _, again, _ = shadow(model="good too")
    folder = Path(run_folder(config.lake, config.run_id))
    document = json.loads((folder / "comparison.json").read_text())
    assert document["verdict"]["outcome"] == "equal"
    assert set(document["seconds_per_profile"]) == {
        f"{a}.{k}" for a in ("champion", "challenger") for k in ("item", "user")
    }
    assert "<svg" in (folder / "comparison.svg").read_text()
    client = mlflow_client(config.mlflow_tracking_uri)
    run = client.get_run(first["counters"]["mlflow_run"])
    assert again["counters"]["mlflow_run"] == run.info.run_id
    assert run.data.tags["nightrec.kind"] == "shadow"
    assert run.data.tags["nightrec.verdict"] == "equal"
    assert run.data.params["challenger.model"] == "good too"
    assert {entry.path for entry in client.list_artifacts(run.info.run_id)} >= {
        "comparison.json",
        "comparison.png",
        "trials.csv",
    }


def test_a_backend_that_serves_whole_data_sets_is_asked_as_nights_ask_it(monkeypatch):
    evidence = Evidence("i1", "Dune", ("Book: Dune", "Facts: Space"), (Piece("facts", "Space", "i1"),), ("space",))
    config = Generator(backend="vllm", **PROMPTS)
    monkeypatch.setattr(PromptFile, "load", lambda version: PromptFile(version, "Describe."))

    class Whole(writer.Writers):
        def ask(self, entities, spare=0.0):
            answering = writer.ProfileWriter(self._kind, self._config, self._words, 1, FakeWriter("bad"))
            return map(answering, to_wire(entities, 100))

    monkeypatch.setattr(arms, "Writers", Whole)
    monkeypatch.setattr(arms, "ray_session", nullcontext)
    written = arms.write(arms.Arm("champion", config, "0"), "item", [Entity(evidence, "r", "k")], frozenset())
    assert [one.last["reason"] for one in written.outcomes] == ["unparsable"]


def test_the_champion_cannot_challenge_itself(shadow):
    with pytest.raises(ConfigError, match="the challenger writes as the champion does"):
        shadow()


def test_a_challenger_without_a_prompt_file_is_refused_by_name(shadow):
    with pytest.raises(ConfigError, match=r"no prompt 'item_profile\.v99'"):
        shadow(item_prompt="item_profile.v99")


def test_without_a_published_night_there_is_nothing_to_compare(tmp_path):
    config = small_config(tmp_path / "empty", "shadow")
    challenger = config.generator.model_copy(update={"model": "other"})
    with night_task("shadow_run", save_config(config)) as task, pytest.raises(LakeError, match="no night up to"):
        shadow_run.shadow_run(task, Shadow(challenger=challenger))


def test_the_log_says_where_registry_and_configuration_disagree(tmp_path, caplog):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    register_prompts(store, {"item_profile.base": "One.", "item_profile.v2": "Two.", "user_profile.base": "Three."})
    with caplog.at_level("INFO", "nightrec.shadow"):
        shadow_run.tell_disagreement(store, Generator(**PROMPTS))
        shadow_run.tell_disagreement(store, Generator(**{**PROMPTS, "item_prompt": "item_profile.v2"}))
    told = [record.message for record in caplog.records if record.name == "nightrec.shadow"]
    assert told == ["nights use v2 of item_profile, while the registry's champion is base"]


def test_the_log_says_what_the_configuration_must_say():
    changed = {"item_prompt": "item_profile.v3", "adapter": None}
    assert shadow_run.config_lines(changed) == 'generator:\n  item_prompt: "item_profile.v3"\n  adapter: null'
