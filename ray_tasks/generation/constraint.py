"""Constrained decoding: which tokens may come next, by a JSON schema (llguidance) and by what helps a small model."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

FUNCTION_WORDS = frozenset(
    ("and", "are", "enjoy", "for", "from", "its", "people", "that", "the", "their", "this", "who", "with")
)
"""Words of more than two letters that a text may hold twice."""


def grammar(schema: str) -> str:
    """llguidance's grammar of a JSON schema, without blanks between the parts. Raises ValueError for no JSON.

    Whether it is a grammar at all, the matcher finds out: to validate it here as well would read it twice.
    """
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False})


class Constraint:
    """What one row may write next. Without a schema: plain text up to a blank line.

    Words to avoid and words that the present string has already are refused while anything else is allowed: small
    models fall into loops of them.
    """

    def __init__(self, tokenizer: Any, schema: str, avoid: tuple[int, ...], decode: Callable[[int], str]) -> None:
        from llguidance import LLMatcher

        self._matcher = LLMatcher(tokenizer, grammar(schema)) if schema else None
        if self._matcher is not None and self._matcher.is_error():
            raise ValueError(self._matcher.get_error())
        self._avoid, self._decode = avoid, decode
        self._said: set[int] = set()
        self._last = ""

    def refused(self) -> list[int]:
        """Tokens that had better not be written."""
        return [*self._avoid, *self._said]

    @property
    def matcher(self) -> Any:
        """The grammar's state; None without a schema."""
        return self._matcher

    def accept(self, token: int) -> list[int]:
        """Take a written token; returns the tokens that must follow it, which need no choice."""
        self._note(token)
        if self._matcher is None:
            return []
        if not self._matcher.consume_token(token):
            raise ValueError(self._matcher.get_error() or "the grammar refuses a token that it allowed")
        if self._matcher.is_stopped():
            return []
        forced: list[int] = self._matcher.compute_ff_tokens()
        if forced:
            self._matcher.consume_tokens(forced)
        for one in forced:
            self._note(one)
        return forced

    @property
    def is_complete(self) -> bool:
        """Whether the schema is satisfied and nothing more may come."""
        return self._matcher is not None and self._matcher.is_stopped()

    def _note(self, token: int) -> None:
        """Remember whole words of the present string; a quote or a new line begins another."""
        text = self._decode(token)
        if '"' in text or "\n" in text:
            self._said.clear()
            return
        word = text.strip(" ").lower()
        if len(word) > 2 and word.isalpha() and word not in FUNCTION_WORDS:
            self._said.add(token)


def allowed_tokens(constraints: Sequence[Constraint], vocabulary: int) -> Any:
    """(rows, vocabulary): which tokens each row's grammar allows next, as a boolean tensor.

    Rows are filled side by side by as many threads as torch has.
    """
    import torch
    from llguidance.numpy import fill_next_token_bitmask_par

    bits = np.full((len(constraints), -(-vocabulary // 32)), -1, dtype=np.int32)
    matchers = [(one.matcher, row) for row, one in enumerate(constraints) if one.matcher is not None]
    if matchers:
        fill_next_token_bitmask_par(_executor(torch.get_num_threads()), matchers, bits)
    found = np.unpackbits(bits.view(np.uint8), axis=1, count=vocabulary, bitorder="little")
    return torch.from_numpy(found).bool()


@cache
def _executor(threads: int) -> Any:
    from llguidance import LLExecutor

    return LLExecutor(threads)
