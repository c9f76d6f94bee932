"""Which profiles a night reuses, asks the model for, or leaves to the template. Pure and deterministic.

A profile is stale when it does not exist, when its recipe (model, prompt, decoding) is another one, when enough of
its evidence is new, or when it is old and any of its evidence is new. Stale ones are asked for in the order of value
(activity times staleness) until the budget is planned out. Each is charged what one attempt may cost at most (prompt
tokens plus the longest answer); what answers leave of it pays for second attempts, then for the next in line. What this
very night has already generated is charged first: a rerun makes the same plan, finds all of it done, and generates
nothing.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from ray_tasks.evidence.pieces import Evidence, new_share
from ray_tasks.profiles.prompt_file import PromptFile
from schemas.generation_config import Generator as GeneratorConfig

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Entity:
    """An item or user whose profile is due.

    `recipe` and `key` name how and from what it would be generated; `activity` is how much its profile matters
    (interactions); `figures` are computed columns of the row.
    """

    evidence: Evidence
    recipe: str
    key: str
    activity: float = 0.0
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entity_id(self) -> str:
        """item_id or user_id."""
        return self.evidence.entity_id


@dataclass(frozen=True)
class Plan:
    """What to do with each entity; every entity is in exactly one of the first four.

    `reused` pairs it with its row; `spare` is what the budget has left, in tokens, when everything asked is charged;
    `outdated` are rows by id that serve on where an entity is over budget: a stale profile is better than a template.
    """

    reused: tuple[tuple[Entity, Row], ...]
    asked: tuple[Entity, ...]
    over_budget: tuple[Entity, ...]
    too_little_evidence: tuple[Entity, ...]
    spare: int = 0
    outdated: Mapping[str, Row] = field(default_factory=dict)


@dataclass(frozen=True)
class Freshness:
    """When a profile is stale: at `share` of new evidence, or at `days` of age if its evidence changed at all.

    A profile with a label outside the night's `labels` is stale too.
    """

    share: float
    days: int
    labels: frozenset[str]
    full_refresh: bool = False

    def staleness(self, entity: Entity, row: Row | None, night: date) -> float:
        """How much a profile needs to be written anew, in [0, 1]; 0 means that the row is as good as new."""
        if row is None or not (row["source"] == "llm" or row["reason"] == "rejected"):
            return 1.0
        if row["recipe_key"] != entity.recipe or (self.full_refresh and row["generated_on"] != night):
            return 1.0
        if not labels_of(row) <= self.labels:
            return 1.0
        if row["generation_key"] == entity.key:
            return 0.0
        share = new_share(entity.evidence.pieces, row["evidence"])
        age = (night - row["generated_on"]).days
        stale = share >= self.share or (share > 0 and age >= self.days)
        return max(share, min(1.0, age / self.days)) if stale else 0.0


def labels_of(row: Row) -> frozenset[str]:
    """Labels that a published profile uses."""
    claims = [*row.get("likes", ()), *row.get("dislikes", ())]
    return frozenset([*row.get("themes", ()), *row.get("moods", ()), *(claim["label"] for claim in claims)])


def recipe_key(config: GeneratorConfig, revision: str, prompt: PromptFile) -> str:
    """SHA-256 of all that decides an output beside the evidence: model, revision, prompt, decoding parameters."""
    decoding = [config.max_new_tokens, config.temperature, config.precision, config.reasoning, config.wording]
    parts = {"model": config.model, "revision": revision, "prompt": prompt.digest, "decoding": decoding}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def generation_key(recipe: str, evidence: Evidence, schema: str) -> str:
    """SHA-256 of a recipe, the prompt's lines and the form of the answer."""
    return hashlib.sha256(json.dumps([recipe, evidence.text, schema]).encode()).hexdigest()


def plan_profiles(
    entities: Sequence[Entity],
    previous: Mapping[str, Row],
    night: date,
    budget: int,
    cost: Callable[[Entity], int],
    freshness: Freshness,
) -> Plan:
    """Plan a night. `previous` holds the newest published row of each entity; `cost` and `budget` are in tokens.

    Asking stops at the first entity that no longer fits, so that a smaller one of less value does not slip in.
    """
    little = tuple(entity for entity in entities if not entity.evidence.enough)
    reused: list[tuple[Entity, Row]] = []
    stale: list[tuple[float, Entity]] = []
    for entity in (entity for entity in entities if entity.evidence.enough):
        row = previous.get(entity.entity_id)
        staleness = freshness.staleness(entity, row, night)
        if staleness == 0 and row is not None:
            reused.append((entity, row))
            budget -= (
                max(cost(entity), row["prompt_tokens"] + row["output_tokens"]) if row["generated_on"] == night else 0
            )
        else:
            stale.append((staleness * (1 + entity.activity), entity))
    ordered = [entity for _, entity in sorted(stale, key=lambda pair: (-pair[0], pair[1].entity_id))]
    outdated = {
        entity.entity_id: row
        for entity in ordered
        if (row := previous.get(entity.entity_id)) and row["source"] == "llm" and labels_of(row) <= freshness.labels
    }
    asked, budget = fitting(ordered, budget, cost)
    return Plan(tuple(reused), asked, tuple(ordered[len(asked) :]), little, max(0, budget), outdated)


def extended(plan: Plan, tokens: int, cost: Callable[[Entity], int], least: int) -> tuple[Plan, tuple[Entity, ...]]:
    """The plan that asks, too, the next over budget whose reserve fits into so many tokens; and who they are.

    Nobody where that would be fewer than `least`.
    """
    more, spare = fitting(plan.over_budget, tokens, cost)
    if len(more) < least:
        return plan, ()
    rest = plan.over_budget[len(more) :]
    return replace(plan, asked=(*plan.asked, *more), over_budget=rest, spare=spare), more


def fitting(stale: Sequence[Entity], budget: int, cost: Callable[[Entity], int]) -> tuple[tuple[Entity, ...], int]:
    """The first entities whose reserve fits into the budget, and what it has left then."""
    found = []
    for entity in stale:
        if (left := budget - cost(entity)) < 0:
            break
        budget = left
        found.append(entity)
    return tuple(found), budget
