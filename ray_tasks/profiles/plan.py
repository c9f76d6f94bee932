"""Which profiles a night reuses, asks the model for, or leaves to the template. Pure and deterministic.

The plan charges each prompt its *estimated* cost (prompt tokens plus the most that may be written), in order of
value, and charges what this very night has already generated like what it is about to. A rerun therefore makes
the same plan, finds all of it done, and generates nothing.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ray_tasks.profiles.prompts import Evidence, PromptFile
from schemas.config import Generator as GeneratorConfig

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Entity:
    """An item or user whose profile is due: what the model would be told, and the key of that generation.

    `categories` and `titles` are for the template.
    """

    evidence: Evidence
    key: str
    categories: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()

    @property
    def entity_id(self) -> str:
        """item_id or user_id."""
        return self.evidence.entity_id


@dataclass(frozen=True)
class Plan:
    """What to do with each entity; every entity is in exactly one of the four."""

    reused: tuple[Row, ...]
    asked: tuple[Entity, ...]
    over_budget: tuple[Entity, ...]
    too_little_evidence: tuple[Entity, ...]


def generation_key(config: GeneratorConfig, revision: str, prompt: PromptFile, evidence: Evidence) -> str:
    """SHA-256 of all that decides an output: model, revision, prompt, decoding parameters, evidence."""
    parts = {
        "model": config.model,
        "revision": revision,
        "prompt": [prompt.version, prompt.text],
        "decoding": ["greedy", config.max_new_tokens],
        "evidence": evidence.text,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def plan_profiles(
    entities: Sequence[Entity],
    previous: Mapping[str, Row],
    night: date,
    budget: int,
    cost: Callable[[Entity], int],
    *,
    full_refresh: bool = False,
) -> Plan:
    """Plan a night for entities in order of value, the most valuable first.

    `previous` holds the newest published row of each entity; `cost` estimates the tokens of asking; `budget` is in
    the same tokens. Asking stops at the first entity that no longer fits.
    """
    reused: list[Row] = []
    asked: list[Entity] = []
    over: list[Entity] = []
    little: list[Entity] = []
    left: float = budget
    for entity in entities:
        row = previous.get(entity.entity_id)
        known = row is not None and is_reusable(row, entity.key, night, full_refresh)
        if not entity.evidence.enough:
            little.append(entity)
            continue
        tonight = row is not None and row["generated_on"] == night
        if (not known or tonight) and left >= 0:
            left = left - price if (price := cost(entity)) <= left else -1
        if known and row is not None:
            reused.append(row)
        else:
            (asked if left >= 0 else over).append(entity)
    return Plan(tuple(reused), tuple(asked), tuple(over), tuple(little))


def is_reusable(row: Row, key: str, night: date, full_refresh: bool) -> bool:
    """Whether a published row is what asking again would give: an accepted profile or a rejected attempt."""
    paid = row["source"] == "llm" or row["reason"] == "rejected"
    return paid and row["generation_key"] == key and (not full_refresh or row["generated_on"] == night)
