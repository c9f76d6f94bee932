"""What a generator is: the text after a prompt, and the tokens that it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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
