"""vLLM through Ray Data's LLM processors: for machines with a GPU.

vLLM batches, caches the shared prefix and keeps to grammars by itself, so that a whole data set of requests goes
through one processor. The tests run Ray 2.60's stages with a stand-in for the engine; on one H100 the engine was
vLLM 0.26, in bfloat16 (docs/adr/0013).
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from ray_tasks.generation.chat_completions import is_json
from ray_tasks.generation.protocol import Generation, Request
from schemas.errors import ModelError
from schemas.generation_config import Generator as GeneratorConfig

KEPT = ("number", "is_json", "generated_text", "num_input_tokens", "num_generated_tokens")
"""Columns of a served row that a Generation is made of."""


def vllm_generations(
    requests: Sequence[Request], config: GeneratorConfig, examples: str
) -> Iterator[tuple[int, Generation]]:
    """(place among the requests, completion) as they come, in any order; needs a Ray session with a GPU.

    Raises ModelError where vLLM is not installed, the cluster has no GPU, or the engine does not start.
    """
    require_vllm()
    import ray
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    from ray_tasks.generation.transformers_backend import token_counter

    shared = token_counter(config.path)(examples)
    processor = build_processor(
        vLLMEngineProcessorConfig(**processor_settings(config)),
        preprocess=lambda row: asked(row, config, examples),
        postprocess=lambda row: {name: row[name] for name in KEPT},
    )
    try:
        for row in processor(ray.data.from_items(rows_of(requests))).iter_rows():
            yield int(row["number"]), answered(row, shared, config.max_new_tokens)
    except ray.exceptions.RayError as error:
        raise ModelError(f"generator.backend: vllm failed with the model in {config.path}: {error}") from error


def rows_of(requests: Sequence[Request]) -> list[dict[str, Any]]:
    """Requests as rows without nulls: Ray Data would make floats of the seeds beside them."""
    return [
        {"number": n, "text": r.text, "schema": r.schema, "greedy": r.seed is None, "seed": r.seed or 0}
        for n, r in enumerate(requests)
    ]


def processor_settings(config: GeneratorConfig) -> dict[str, Any]:
    """Settings of the processor: prompts as they are, prefix cached, one bad row no reason to stop.

    Grammars are llguidance's, without blanks, as the default backend has them: for one of our schemas it takes 0.03 s,
    xgrammar (vLLM's own choice) took about 1 s. The engine's metrics would need Ray Serve, and nobody reads them.
    """
    return {
        "model_source": config.path,
        "concurrency": config.actors,
        "batch_size": config.batch_size,
        "should_continue_on_error": True,
        "chat_template_stage": False,
        "log_engine_metrics": False,
        "engine_kwargs": {
            "enable_prefix_caching": True,
            "dtype": config.precision,
            "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
        },
    }


def asked(row: Mapping[str, Any], config: GeneratorConfig, examples: str) -> dict[str, Any]:
    """A row as the engine wants it: the whole prompt and its own sampling parameters."""
    parameters: dict[str, Any] = {
        "temperature": 0.0 if row["greedy"] else config.temperature,
        "seed": row["seed"],  # of no effect at temperature 0
        "max_tokens": config.max_new_tokens,
    }
    if row["schema"]:
        parameters["structured_outputs"] = {"json": row["schema"]}
    else:
        parameters["stop"] = ["\n\n"]
    prompt = examples + row["text"]
    return {"number": row["number"], "is_json": bool(row["schema"]), "prompt": prompt, "sampling_params": parameters}


def answered(row: Mapping[str, Any], shared: int, most: int) -> Generation:
    """The completion in a served row; one that failed has no text and says so.

    `shared` are the tokens of the examples, which the engine counts in every prompt though it reads them once;
    `most` is the longest answer in tokens.
    """
    if row.get("__inference_error__"):
        return Generation("", 0, 0, "failed")
    text, written = str(row["generated_text"]), int(row["num_generated_tokens"])
    error = None
    if row["is_json"] and not is_json(text):
        error = "truncated" if written >= most else "unparsable"
    return Generation(text, max(0, int(row["num_input_tokens"]) - shared), written, error)


def require_vllm() -> None:
    """Raise ModelError, with what to do, where vLLM is not installed or the cluster has no GPU."""
    if find_spec("vllm") is None:
        raise ModelError(
            "generator.backend: vllm is not installed here. On a machine with a GPU: pip install 'ray[llm]', "
            "which brings the vLLM that Ray knows; "
            "elsewhere use generator.backend: transformers, or openai for an endpoint."
        )
    import ray

    if ray.is_initialized() and not ray.cluster_resources().get("GPU"):
        raise ModelError(
            "generator.backend: vllm needs a GPU, and the Ray cluster has none; use transformers or openai"
        )
