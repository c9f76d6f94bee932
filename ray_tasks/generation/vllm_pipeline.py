"""vLLM through Ray Data's LLM processors: for machines with a GPU.

vLLM batches, caches the shared prefix and keeps to grammars by itself, so that a whole data set of requests goes
through one processor. It has been built from the documented interface of Ray 2.60 and its pure parts are tested; no
GPU has run it yet.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from ray_tasks.generation.protocol import Generation, Request
from schemas.config import Generator as GeneratorConfig
from schemas.errors import ModelError


def vllm_generations(
    requests: Sequence[Request], config: GeneratorConfig, examples: str
) -> Iterator[tuple[int, Generation]]:
    """(place among the requests, completion) as they come, in any order; needs a Ray session with a GPU.

    Raises ModelError where vLLM is not installed or the cluster has no GPU.
    """
    require_vllm()
    import ray
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    processor = build_processor(
        vLLMEngineProcessorConfig(**processor_settings(config)),
        preprocess=lambda row: asked(row, config, examples),
        postprocess=lambda row: {name: row[name] for name in KEPT},
    )
    rows = [{"number": n, "text": r.text, "schema": r.schema, "seed": r.seed} for n, r in enumerate(requests)]
    for row in processor(ray.data.from_items(rows)).iter_rows():
        yield int(row["number"]), answered(row)


KEPT = ("number", "is_json", "generated_text", "num_input_tokens", "num_generated_tokens")
"""Columns of a served row that a Generation is made of."""


def processor_settings(config: GeneratorConfig) -> dict[str, Any]:
    """Settings of the processor: prompts as they are, prefix cached, one bad row no reason to stop."""
    return {
        "model_source": config.path,
        "concurrency": config.actors,
        "batch_size": config.batch_size,
        "should_continue_on_error": True,
        "chat_template_stage": False,
        "engine_kwargs": {"enable_prefix_caching": True, "dtype": config.precision},
    }


def asked(row: Mapping[str, Any], config: GeneratorConfig, examples: str) -> dict[str, Any]:
    """A row as the engine wants it: the whole prompt and its own sampling parameters."""
    greedy = row["seed"] is None
    parameters: dict[str, Any] = {
        "temperature": 0.0 if greedy else config.temperature,
        "max_tokens": config.max_new_tokens,
    }
    if not greedy:
        parameters["seed"] = int(row["seed"])
    if row["schema"]:
        parameters["structured_outputs"] = {"json": row["schema"]}
    else:
        parameters["stop"] = ["\n\n"]
    prompt = examples + row["text"]
    return {"number": row["number"], "is_json": bool(row["schema"]), "prompt": prompt, "sampling_params": parameters}


def answered(row: Mapping[str, Any]) -> Generation:
    """The completion in a served row; one that failed has no text and says so."""
    if row.get("__inference_error__"):
        return Generation("", 0, 0, "failed")
    text = str(row["generated_text"])
    return Generation(text, int(row["num_input_tokens"]), int(row["num_generated_tokens"]), _problem(text, row))


def _problem(text: str, row: Mapping[str, Any]) -> str | None:
    """`truncated` where an answer in JSON does not end."""
    if not row.get("is_json"):
        return None
    try:
        json.loads(text)
    except ValueError:
        return "truncated"
    return None


def require_vllm() -> None:
    """Raise ModelError, with what to do, where vLLM is not installed or the cluster has no GPU."""
    if find_spec("vllm") is None:
        raise ModelError(
            "generator.backend: vllm is not installed here. On a machine with a GPU: pip install vllm; "
            "elsewhere use generator.backend: transformers, or openai for an endpoint."
        )
    import ray

    if ray.is_initialized() and not ray.cluster_resources().get("GPU"):
        raise ModelError(
            "generator.backend: vllm needs a GPU, and the Ray cluster has none; use transformers or openai"
        )
