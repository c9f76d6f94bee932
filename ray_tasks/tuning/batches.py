"""Token sequences and the batches they are trained in: rows of like length together, bounded by tokens."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ray_tasks.tuning.pairs import Pair

WINDOW = 16
"""Batches within which rows are sorted by length: mixed enough between them, alike enough within one."""


@dataclass(frozen=True)
class Example:
    """Tokens of instruction, prompt and answer; the last `answer` of them are what is learned."""

    ids: tuple[int, ...]
    answer: int
    task: str


class Batch(NamedTuple):
    """`ids` (rows, longest), padded at the right; `learned` (rows, longest): True where a token is to be predicted."""

    ids: Any
    learned: Any


def encode(pairs: Iterable[Pair], instructions: dict[tuple[str, str], str], tokenizer: Any) -> list[Example]:
    """Pairs as tokens: instruction, blank line, prompt, answer, end. `instructions` are by (task, kind)."""

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    examples = []
    for pair in pairs:
        read = ids(f"{instructions[pair.task, pair.kind]}\n\n") + ids(pair.prompt)
        written = [*ids(pair.answer), tokenizer.eos_token_id]
        examples.append(Example((*read, *written), len(written), pair.task))
    return examples


def in_batches(examples: Sequence[Example], tokens: int, rng: np.random.Generator | None = None) -> Iterator[Batch]:
    """Every example once, in batches of at most `tokens` tokens with padding (one long example may exceed them).

    With `rng` in random order; without, sorted by length.
    """
    order = rng.permutation(len(examples)) if rng else np.arange(len(examples))
    lengths = np.array([len(example.ids) for example in examples])
    rows_per_window = len(examples) if rng is None else max(1, WINDOW * tokens // max(1, int(lengths.max(initial=1))))
    groups: list[list[int]] = []
    for start in range(0, len(order), max(1, rows_per_window)):
        window = order[start : start + rows_per_window]
        groups += _packed(window[np.argsort(lengths[window], kind="stable")], lengths, tokens)
    for at in rng.permutation(len(groups)) if rng else range(len(groups)):
        yield _batch([examples[row] for row in groups[at]])


def _packed(ordered: Any, lengths: Any, tokens: int) -> list[list[int]]:
    """Rows sorted by length as groups whose padded size is at most `tokens`."""
    groups: list[list[int]] = []
    for row in ordered:
        if groups and (len(groups[-1]) + 1) * lengths[row] <= tokens:
            groups[-1].append(int(row))
        else:
            groups.append([int(row)])
    return groups


def _batch(rows: Sequence[Example]) -> Batch:
    import torch

    longest = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    learned = torch.zeros(len(rows), longest, dtype=torch.bool)
    for at, row in enumerate(rows):
        ids[at, : len(row.ids)] = torch.tensor(row.ids)
        learned[at, len(row.ids) - row.answer : len(row.ids)] = True
    return Batch(ids, learned)
