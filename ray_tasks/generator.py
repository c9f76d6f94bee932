"""What writes profiles, behind one interface: the text after a prompt, and the tokens that it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.config import Generator as GeneratorConfig


@dataclass(frozen=True)
class Prompt:
    """One text to complete after the shared examples, and words that the completion must not use."""

    text: str
    avoid: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Generation:
    """One completion. `prompt_tokens` are those read for this prompt alone: the shared examples are read once."""

    text: str
    prompt_tokens: int
    output_tokens: int


class Generator(Protocol):
    """Completes prompts, deterministically."""

    def generate(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """One completion per prompt, in order."""
        ...


class TokenCounter(Protocol):
    """Counts a prompt's tokens as the generator would, without loading its weights."""

    def __call__(self, text: str) -> int:
        """Tokens of a text."""
        ...


def make_generator(config: GeneratorConfig, examples: str, threads: int) -> Generator:
    """The configured generator; `examples` precede every prompt. Raises ModelError when its files are not in order."""
    if config.backend == "fake":
        return FakeGenerator()
    from ray_tasks.generator_transformers import TransformersGenerator

    return TransformersGenerator(config.path, examples, config.max_new_tokens, threads)


def make_token_counter(config: GeneratorConfig) -> TokenCounter:
    """The configured generator's way to count. Raises ModelError when its files are not in order."""
    if config.backend == "fake":
        return lambda text: len(text.split())
    from ray_tasks.generator_transformers import token_counter

    return token_counter(config.path)


def generator_revision(config: GeneratorConfig) -> str:
    """SHA-256 that names the generator's weights. Raises ModelError when its files are not in order."""
    if config.backend == "fake":
        return FakeGenerator.revision
    from ray_tasks.model_files import model_revision

    return model_revision(config.path)


class FakeGenerator:
    """Completes a prompt from its own facts, in the form of a good answer. For tests, no model needed."""

    revision = "0" * 64

    def generate(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """A well-formed answer that names the first facts."""
        return [self._answer(prompt.text) for prompt in prompts]

    def _answer(self, text: str) -> Generation:
        fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        facts = [fact.strip() for fact in (fields.get("Facts") or fields.get("Often") or "").split(",") if fact.strip()]
        named = " and ".join(facts[:2]) or next(iter(fields.values()), "this")
        listed = ", ".join(facts[:3]) or named
        if "Recent" in fields:
            answer = f" Someone who often picks {named}.\nLikes: {listed}\n\n"
        else:
            answer = f" A pick known for {named}.\nAudience: People who enjoy {named}.\nThemes: {listed}\n\n"
        return Generation(answer, len(text.split()), len(answer.split()))
