"""The generator that the configuration names. Backends are imported only where they are used: they are heavy."""

from ray_tasks.generation.fake import FakeGenerator
from ray_tasks.generation.protocol import Generator, TokenCounter
from schemas.errors import ModelError
from schemas.generation_config import Generator as GeneratorConfig


def make_generator(config: GeneratorConfig, examples: str, threads: int) -> Generator:
    """The configured generator; `examples` precede every prompt. Raises ModelError when it cannot be made."""
    if config.backend == "fake":
        return FakeGenerator()
    if config.backend == "openai":
        from ray_tasks.generation.openai_backend import OpenAIGenerator

        return OpenAIGenerator(config, examples)
    if config.backend == "vllm":
        raise ModelError("vLLM serves whole data sets, not single calls: see ray_tasks/generation/vllm_pipeline.py")
    from ray_tasks.generation.transformers_backend import TransformersGenerator

    return TransformersGenerator(config, examples, threads)


def make_token_counter(config: GeneratorConfig) -> TokenCounter:
    """The configured generator's way to count. Raises ModelError when its files are not in order."""
    if config.backend == "fake":
        return lambda text: len(text.split())
    if config.backend == "openai":
        from ray_tasks.generation.openai_backend import estimate_tokens

        return estimate_tokens
    from ray_tasks.generation.transformers_backend import token_counter

    return token_counter(config.path)


def generator_revision(config: GeneratorConfig) -> str:
    """SHA-256 that names the generator's weights. Raises ModelError when its files are not in order."""
    if config.backend == "fake":
        return FakeGenerator.revision
    if config.backend == "openai":
        from ray_tasks.generation.openai_backend import endpoint_revision

        return endpoint_revision(config)
    from ray_tasks.model_files import model_revision

    return model_revision(config.path)
