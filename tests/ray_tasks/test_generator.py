"""Generators: the fake answers well, the actor survives poison, the real model loads and keeps its bans."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from ray_tasks.profiles.prompts import PromptFile, item_evidence

from ray_tasks.generation.factory import make_token_counter
from ray_tasks.generation.fake import FakeGenerator
from ray_tasks.generation.protocol import Generation, Prompt
from ray_tasks.profiles.kinds import ITEM
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.writer import ProfileWriter, batches
from schemas.config import Generator as GeneratorConfig
from schemas.errors import ModelError

ASSETS = Path(os.environ.get("NIGHTREC_ASSETS", "build/assets"))
MODEL = ASSETS / "smollm2-135m-instruct"
FAKE = GeneratorConfig(backend="fake", batch_size=4)


def entities(*titles: str) -> list[Entity]:
    return [Entity(item_evidence(t, t, ["Drama"], f"title: {t}", "movie"), f"key-{t}") for t in titles]


def answers(generator, *titles: str) -> dict[str, dict]:
    writer = ProfileWriter("item", FAKE, frozenset({"drama"}), 1, generator)
    table = pa.concat_tables([writer(batch) for batch in batches(entities(*titles), 10)])
    return {row["entity_id"]: row for row in table.to_pylist()}


class PoisonedGenerator(FakeGenerator):
    """Raises on every batch that holds a prompt with the word."""

    def __init__(self, word: str) -> None:
        self.word = word

    def generate(self, prompts):
        if any(self.word in prompt.text for prompt in prompts):
            raise RuntimeError("cannot take it")
        return super().generate(prompts)


def test_one_poisoned_prompt_does_not_stop_the_others():
    found = answers(PoisonedGenerator("Poison"), "One", "Poison", "Two")
    assert {name: row["reason"] for name, row in found.items()} == {"One": None, "Two": None, "Poison": "failed"}


def test_a_generator_that_fails_on_everything_stops_the_task():
    with pytest.raises(RuntimeError, match="cannot take it"):
        answers(PoisonedGenerator("Drama"), "One", "Two")


def test_a_rejected_answer_keeps_its_output_and_its_tokens():
    class Mumbler(FakeGenerator):
        def generate(self, prompts):
            return [Generation(" mumble", 7, 2) for _ in prompts]

    row = answers(Mumbler(), "One")["One"]
    assert (row["reason"], row["output"], row["prompt_tokens"], row["output_tokens"]) == ("unparsable", " mumble", 7, 2)
    assert row["profile"] is None


def test_batches_hold_everyone_once_with_the_longest_first():
    made = batches(entities("a", "a much longer title", "bb"), 2)
    texts = [text for table in made for text in table["evidence"].to_pylist()]
    assert [table.num_rows for table in made] == [2, 1]
    assert "much longer" in texts[0]
    assert len(set(texts)) == 3


@pytest.mark.model
@pytest.mark.skipif(not MODEL.is_dir(), reason="no models: make assets")
def test_the_real_model_writes_two_profiles_and_keeps_out_what_it_must_not_say():
    config = GeneratorConfig(path=str(MODEL), max_new_tokens=56)
    prompt = PromptFile.load(ITEM.prompt_version)
    vocabulary = frozenset({"drama", "comedy", "western"})
    writer = ProfileWriter("item", config, vocabulary, 1)
    rows = [row for batch in batches(entities("Stone River", "Silent Town"), 2) for row in writer(batch).to_pylist()]
    count = make_token_counter(config)
    assert [row["reason"] for row in rows] == [None, None]
    for row, entity in zip(rows, entities("Stone River", "Silent Town"), strict=True):
        assert "comedy" not in row["profile"].lower()
        assert row["prompt_tokens"] == count(prompt.prompt(entity.evidence))
        assert 0 < row["output_tokens"] <= 56
    text = prompt.prompt(entities("Stone River")[0].evidence)
    alone = writer._generator.generate([Prompt(text)])
    together = writer._generator.generate([Prompt(text), Prompt(f"{text} A long one that pads the other")])
    assert alone[0] == together[0]


@pytest.mark.model
@pytest.mark.skipif(not MODEL.is_dir(), reason="no models: make assets")
def test_weights_with_one_changed_byte_are_refused(tmp_path):
    for file in MODEL.iterdir():
        if file.name != "model.safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged.*expected sha256 \w{64}, found \w{64}"):
        ProfileWriter("item", GeneratorConfig(path=str(tmp_path)), frozenset(), 1)
