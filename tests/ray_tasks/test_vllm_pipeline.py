"""vLLM through Ray Data: what a row asks for, what a served row says, and what is told where there is no vLLM."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
import ray.cloudpickle as cloudpickle
import ray.data.llm
import tiny_llama
from ray.llm._internal.batch import stages
from ray.llm._internal.batch.stages.base import StatefulStage
from ray.llm._internal.batch.stages.vllm_engine_stage import vLLMEngineStageUDF, vLLMOutputData

from ray_tasks.evidence.pieces import Evidence, Piece
from ray_tasks.generation import transformers_backend, vllm_pipeline
from ray_tasks.generation.protocol import Generation, Request
from ray_tasks.generation.transformers_backend import token_counter
from ray_tasks.profiles import writer
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.writer import Author
from ray_tasks.ray_session import ray_session
from schemas.errors import ModelError
from schemas.generation_config import Generator

CONFIG = Generator(backend="vllm", path="/models/some", max_new_tokens=99, precision="bfloat16", actors=3)
SCHEMA = '{"type": "object"}'


def row(seed=None, schema=SCHEMA) -> dict:
    (found,) = vllm_pipeline.rows_of([Request("Movie: Stone River", schema, seed=seed)])
    return found


def test_a_row_asks_with_the_examples_first_and_its_own_schema():
    found = vllm_pipeline.asked(row(), CONFIG, "Examples\n\n")
    assert found["prompt"] == "Examples\n\nMovie: Stone River"
    assert found["sampling_params"] == {
        "temperature": 0.0,
        "seed": 0,
        "max_tokens": 99,
        "structured_outputs": {"json": SCHEMA},
    }


def test_a_second_attempt_samples_with_its_seed_and_plain_text_ends_at_a_blank_line():
    parameters = vllm_pipeline.asked(row(seed=7, schema=""), CONFIG, "")["sampling_params"]
    assert parameters == {"temperature": 0.7, "max_tokens": 99, "seed": 7, "stop": ["\n\n"]}


def test_the_engine_caches_the_prefix_and_goes_on_after_a_bad_row():
    settings = vllm_pipeline.processor_settings(CONFIG)
    kept = {name: settings["engine_kwargs"][name] for name in ("enable_prefix_caching", "dtype")}
    assert kept == {"enable_prefix_caching": True, "dtype": "bfloat16"}
    assert (settings["model_source"], settings["concurrency"]) == ("/models/some", 3)
    assert settings["should_continue_on_error"]
    assert not settings["chat_template_stage"]


def test_grammars_are_those_of_the_default_backend_and_no_metrics_ask_for_ray_serve():
    settings = vllm_pipeline.processor_settings(CONFIG)
    form = settings["engine_kwargs"]["structured_outputs_config"]
    assert form == {"backend": "guidance", "disable_any_whitespace": True}
    assert not settings["log_engine_metrics"]


def test_the_settings_are_those_that_ray_knows():
    from ray.data.llm import vLLMEngineProcessorConfig

    assert vLLMEngineProcessorConfig(**vllm_pipeline.processor_settings(CONFIG)).batch_size == CONFIG.batch_size


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        ({"generated_text": "{}", "is_json": True}, Generation("{}", 50, 9)),
        ({"generated_text": '{"a', "is_json": True}, Generation('{"a', 50, 9, "unparsable")),
        (
            {"generated_text": '{"a', "is_json": True, "num_generated_tokens": 99},
            Generation('{"a', 50, 99, "truncated"),
        ),
        ({"generated_text": "plain", "is_json": False}, Generation("plain", 50, 9)),
        ({"__inference_error__": "too long"}, Generation("", 0, 0, "failed")),
    ],
)
def test_a_served_row_is_a_generation_and_the_examples_are_not_counted_again(served, expected):
    row = {"num_input_tokens": 450, "num_generated_tokens": 9, **served}
    assert vllm_pipeline.answered(row, shared=400, most=99) == expected


def test_a_precision_that_no_backend_has_is_refused_with_the_configuration():
    with pytest.raises(ValueError, match=r"float32.*bfloat16"):
        Generator(**{**CONFIG.model_dump(), "precision": "int8"})


class Engine(vLLMEngineStageUDF):
    """Ray's stage around vLLM, with another engine in it: it answers with the parameters that it was given."""

    def __init__(self, data_column, expected_input_keys, model, **_):
        from transformers import AutoTokenizer

        super(vLLMEngineStageUDF, self).__init__(data_column, expected_input_keys)
        self.should_continue_on_error, self.engine_kwargs, self.llm = True, {"disable_log_stats": True}, self
        self._tokenizer = AutoTokenizer.from_pretrained(model)

    async def generate_async(self, row):
        parameters, tokens = row.pop("sampling_params"), row.pop("tokenized_prompt")
        if "poison" in row["prompt"]:
            raise ValueError("longer than the model's context")
        form = (parameters.get("structured_outputs") or {}).get("json")
        told = {"seed": parameters.get("seed"), "temperature": parameters["temperature"], "form": form}
        written = self._tokenizer(json.dumps(told), add_special_tokens=False)["input_ids"]
        output = vLLMOutputData(
            prompt=row["prompt"],
            prompt_token_ids=list(tokens),
            num_input_tokens=len(tokens),
            generated_tokens=written,
            num_generated_tokens=len(written),
        )
        request = SimpleNamespace(request_id=0, idx_in_batch=row[self.IDX_IN_BATCH_COLUMN], params=parameters)
        return request, output.model_dump(), 0.0

    def shutdown(self):
        pass


class Stage(StatefulStage):
    """Ray's stage without its demand for a GPU."""

    fn: type = Engine


@pytest.mark.ray
def test_requests_pass_all_of_rays_stages_with_their_own_parameters(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setattr(stages, "vLLMEngineStage", Stage)
    monkeypatch.setattr(vllm_pipeline, "require_vllm", lambda: None)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    path = tiny_llama.write(tmp_path / "model")
    config = Generator(backend="vllm", path=path, max_new_tokens=300, batch_size=4, actors=1)
    texts = [f"Movie: {'poison' if n == 5 else 'Stone River'} {n}" for n in range(10)]
    schemas = [json.dumps({"const": f"label {n}"}) if n % 3 else "" for n in range(10)]
    requests = [Request(texts[n], schemas[n], seed=n if n % 2 else None) for n in range(10)]
    with ray_session():
        found = dict(vllm_pipeline.vllm_generations(requests, config, "Examples\n\n"))
    assert sorted(found) == list(range(10))
    assert found.pop(5) == Generation("", 0, 0, "failed")
    count = token_counter(path)
    for number, generation in found.items():
        seed = requests[number].seed
        told = {"seed": seed or 0, "temperature": 0.0 if seed is None else 0.7, "form": schemas[number] or None}
        assert (json.loads(generation.text), generation.error) == (told, None)
        assert abs(generation.prompt_tokens - count(texts[number])) <= 1  # a token may span both
        assert generation.output_tokens == count(json.dumps(told))


def test_an_engine_that_does_not_start_is_a_clear_error(monkeypatch):
    def fails(_):
        raise ray.exceptions.RayActorError(error_msg="out of GPU memory")

    monkeypatch.setattr(vllm_pipeline, "require_vllm", lambda: None)
    monkeypatch.setattr(transformers_backend, "token_counter", lambda path: len)
    monkeypatch.setattr(ray.data.llm, "build_processor", lambda *_, **__: fails)
    monkeypatch.setattr(ray.data, "from_items", list)
    with pytest.raises(ModelError, match=r"vllm failed with the model in /models/some: .*out of GPU memory"):
        list(vllm_pipeline.vllm_generations([Request("a")], CONFIG, ""))


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_error_says_what_to_do():
    with pytest.raises(ModelError, match=r"pip install 'ray\[llm\]'.*transformers"):
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
