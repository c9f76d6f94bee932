"""Pairs that the generator is tuned on and judged by: a prompt, and the answer that it should get.

An item or user belongs to exactly one part, for all tasks and for ever (its id decides), so that what one week was
held out is in no other week's training.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PARTS = ("train", "validation", "test")
SHARES = (0.8, 0.9)
"""Cumulative: 80% of the ids are trained on, 10% decide when to stop, 10% are held out to judge."""


@dataclass(frozen=True)
class Pair:
    """One example. `prompt` is without what all prompts of its task begin with (the instruction and examples).

    `task` is `labels`, `next_item` or `profile`; `gold` are the right labels (or `Yes` / `No`); `template` is what a
    deterministic rule answers to the same evidence: labels, or a score that the answer is yes.
    """

    task: str
    kind: str
    entity_id: str
    part: str
    prompt: str
    answer: str
    schema: str = ""
    gold: tuple[str, ...] = ()
    template: tuple[str, ...] | float = ()


def part_of(entity_id: str, seed: int) -> str:
    """The part of an item or user: `train`, `validation` or `test`."""
    place = _uniform("part", entity_id, seed)
    return PARTS[sum(place >= share for share in SHARES)]


def choose(ids: Iterable[str], most: Mapping[str, int], seed: int) -> list[str]:
    """At most `most[part]` ids of each part, drawn by hash: the same ones whatever the order they come in. Sorted."""
    parts: dict[str, list[str]] = {part: [] for part in most}
    for one in set(ids):
        if (part := part_of(one, seed)) in parts:
            parts[part].append(one)
    drawn = (sorted(found, key=lambda one: _uniform("drawn", one, seed))[: most[part]] for part, found in parts.items())
    return sorted(one for found in drawn for one in found)


def compact(answer: Mapping[str, Any]) -> str:
    """An answer as prompts and grammars spell it: one line of JSON without blanks between tokens."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def shots(pairs: Iterable[Pair], most: int, seed: int) -> list[Pair]:
    """Few-shot examples from training pairs, drawn by hash, that differ in their first right label."""
    train = [pair for pair in pairs if pair.part == "train"]
    chosen: dict[str, Pair] = {}
    for pair in sorted(train, key=lambda pair: _uniform("shot", pair.entity_id, seed)):
        chosen.setdefault(pair.gold[0] if pair.gold else "", pair)
    return list(chosen.values())[:most]


def few_shot(instruction: str, examples: Sequence[Pair]) -> str:
    """What prompts begin with when the model is not tuned: the instruction and solved examples."""
    return "".join([f"{instruction}\n\n", *(f"{pair.prompt} {pair.answer.strip()}\n\n" for pair in examples)])


def _uniform(*key: object) -> float:
    """A number in [0, 1) that only the key decides."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big") / 2**64
