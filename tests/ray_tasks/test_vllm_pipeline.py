"""vLLM through Ray Data: what a row asks for, what a served row says, and what is told where there is no vLLM."""

from importlib.util import find_spec

import pytest

from ray_tasks.generation import vllm_pipeline
from ray_tasks.generation.protocol import Generation
from ray_tasks.profiles import writer
from ray_tasks.profiles.evidence import Evidence, Piece
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.writer import Author
from schemas.config import Generator
from schemas.errors import ModelError

CONFIG = Generator(backend="vllm", path="/models/some", max_new_tokens=99, precision="bfloat16", actors=3)
SCHEMA = '{"type": "object"}'


def row(seed=None, schema=SCHEMA) -> dict:
    return {"number": 4, "text": "Movie: Stone River", "schema": schema, "seed": seed}


def test_a_row_asks_with_the_examples_first_and_its_own_schema():
    found = vllm_pipeline.asked(row(), CONFIG, "Examples\n\n")
    assert found["prompt"] == "Examples\n\nMovie: Stone River"
    assert found["sampling_params"] == {
        "temperature": 0.0,
        "max_tokens": 99,
        "structured_outputs": {"json": SCHEMA},
    }


def test_a_second_attempt_samples_with_its_seed_and_plain_text_ends_at_a_blank_line():
    parameters = vllm_pipeline.asked(row(seed=7, schema=""), CONFIG, "")["sampling_params"]
    assert parameters == {"temperature": 0.7, "max_tokens": 99, "seed": 7, "stop": ["\n\n"]}


def test_the_engine_caches_the_prefix_and_goes_on_after_a_bad_row():
    settings = vllm_pipeline.processor_settings(CONFIG)
    assert settings["engine_kwargs"] == {"enable_prefix_caching": True, "dtype": "bfloat16"}
    assert (settings["model_source"], settings["concurrency"]) == ("/models/some", 3)
    assert settings["should_continue_on_error"]
    assert not settings["chat_template_stage"]


def test_the_settings_are_those_that_ray_knows():
    from ray.data.llm import vLLMEngineProcessorConfig

    assert vLLMEngineProcessorConfig(**vllm_pipeline.processor_settings(CONFIG)).batch_size == CONFIG.batch_size


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        ({"generated_text": "{}", "is_json": True}, Generation("{}", 50, 9)),
        ({"generated_text": '{"a', "is_json": True}, Generation('{"a', 50, 9, "truncated")),
        ({"generated_text": "plain", "is_json": False}, Generation("plain", 50, 9)),
        ({"__inference_error__": "too long"}, Generation("", 0, 0, "failed")),
    ],
)
def test_a_served_row_is_a_generation(served, expected):
    assert vllm_pipeline.answered({"num_input_tokens": 50, "num_generated_tokens": 9, **served}) == expected


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_error_says_what_to_do():
    with pytest.raises(ModelError, match=r"pip install vllm.*transformers"):
        vllm_pipeline.require_vllm()


def test_every_entity_ends_once_and_what_fails_is_asked_again(monkeypatch):
    def generations(requests, config, examples):
        for number, request in reversed(list(enumerate(requests))):
            good = '{"summary":"A drama with a river.","audience":"People who enjoy drama."}'
            bad = "Stone River 1" in request.text or ("Stone River 2" in request.text and request.seed is None)
            yield number, Generation("", 5, 1, "truncated") if bad else Generation(good, 5, 9)

    def entity(number: int) -> Entity:
        lines = (f"Movie: Stone River {number}", "Facts: Drama, river")
        found = Evidence(f"i{number}", f"Stone River {number}", lines, (Piece("facts", "Drama, river"),))
        return Entity(found, "recipe", f"key {number}")

    monkeypatch.setattr(vllm_pipeline, "vllm_generations", generations)
    tables = writer._by_vllm([entity(n) for n in range(4)], Author("item", CONFIG, frozenset()), CONFIG)
    rows = [row for table in tables for row in table.to_pylist()]
    tried = {e: [r["reason"] for r in rows if r["entity_id"] == e] for e in ("i0", "i1", "i2", "i3")}
    assert tried == {"i0": [None], "i1": ["truncated", "truncated"], "i2": ["truncated", None], "i3": [None]}
