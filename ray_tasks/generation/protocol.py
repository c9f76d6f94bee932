"""What a generator is: the text after a prompt, in the form that was asked for, and the tokens that it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

UNSERVED = frozenset(("timeout", "rate_limited", "unavailable"))
"""Errors that speak of the backend at the moment, not of the request: another night may have an answer."""


@dataclass(frozen=True)
class Request:
    """One prompt to complete after the shared examples.

    `schema` is the JSON schema (as text) that the answer must satisfy; empty for plain text up to a blank line.
    `avoid` are words that the answer should not use: a help for small models, which a backend may ignore.
    `seed` None means greedy decoding; a number means sampling with it, the same text for the same seed.
    """

    text: str
    schema: str = ""
    avoid: frozenset[str] = frozenset()
    seed: int | None = None


@dataclass(frozen=True)
class Generation:
    """One completion, or why there is none.

    `prompt_tokens` are those read for this request alone: the shared examples are read once. `error` is a term
    (`failed`, `truncated`, `timeout`, `refused`, ...) where no whole answer came; the tokens it took are counted.
    """

    text: str
    prompt_tokens: int
    output_tokens: int
    error: str | None = None


class Generator(Protocol):
    """Completes prompts, deterministically."""

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One completion per request, in order.

        What only one request suffers from is that Generation's `error`. Raises ModelError when no request can be
        served: files not in order, an endpoint that refuses the key, or is down and has never answered.
        """
        ...


class TokenCounter(Protocol):
    """Counts a prompt's tokens as the generator would, without loading its weights."""

    def __call__(self, text: str) -> int:
        """Tokens of a text."""
        ...
