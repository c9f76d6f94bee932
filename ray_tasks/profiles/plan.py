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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, TypeVar

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


@dataclass(frozen=True, slots=True)
class Due:
    """A stale profile, without its evidence: there may be as many as users.

    `worth` is what it is worth to write it anew; `reserve` what one attempt may cost at most, in tokens.
    """

    entity_id: str
    worth: float
    reserve: int


Asked = TypeVar("Asked")
"""What is asked about, in whatever form the caller holds it."""


@dataclass(frozen=True)
class Plan(Generic[Asked]):
    """Whom to ask about, and who is left out, both in the order of value.

    `spare` is what the budget has left, in tokens, when everything asked is charged.
    """

    asked: tuple[Asked, ...]
    over_budget: tuple[Asked, ...]
    spare: int = 0

    @classmethod
    def of(cls, ordered: Sequence[Asked], budget: int, cost: Callable[[Asked], int]) -> "Plan[Asked]":
        """The first whose reserve fits into a budget of tokens."""
        asked, spare = fitting(ordered, budget, cost)
        return cls(asked, tuple(ordered[len(asked) :]), max(0, spare))


@dataclass(frozen=True)
class Freshness:
    """When a profile is stale: at `share` of new evidence, or at `days` of age if its evidence changed at all.

    A profile with a label outside the night's `labels` is stale too. `night` is the one that asks.
    """

    night: date
    share: float
    days: int
    labels: frozenset[str]
    full_refresh: bool = False

    def staleness(self, entity: Entity, row: Row | None) -> float:
        """How much a profile needs to be written anew, in [0, 1]; 0 means that the row is as good as new."""
        if row is None or not (row["source"] == "llm" or row["reason"] == "rejected"):
            return 1.0
        if row["recipe_key"] != entity.recipe or (self.full_refresh and row["generated_on"] != self.night):
            return 1.0
        if not labels_of(row) <= self.labels:
            return 1.0
        if row["generation_key"] == entity.key:
            return 0.0
        share = new_share(entity.evidence.pieces, row["evidence"])
        age = (self.night - row["generated_on"]).days
        stale = share >= self.share or (share > 0 and age >= self.days)
        return max(share, min(1.0, age / self.days)) if stale else 0.0

    def is_fresh(self, entity: Entity, row: Row | None) -> bool:
        """Whether a row is as good as new."""
        return row is not None and self.staleness(entity, row) == 0

    def may_serve_on(self, row: Row | None) -> bool:
        """Whether a row may serve where nothing new is written: a stale profile is better than a template."""
        return row is not None and row["source"] == "llm" and labels_of(row) <= self.labels


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
    profiles: Iterable[tuple[Entity, Row | None]], budget: int, cost: Callable[[Entity], int], freshness: Freshness
) -> Plan[Due]:
    """Plan a night, from every entity and its newest published row; `cost` and `budget` are in tokens.

    Asking stops at the first entity that no longer fits, so that a smaller one of less value does not slip in.
    """
    stale = []
    for entity, row in profiles:
        if not entity.evidence.enough:
            continue
        staleness = freshness.staleness(entity, row)
        if row is None or staleness > 0:
            stale.append(Due(entity.entity_id, staleness * (1 + entity.activity), cost(entity)))
        elif row["generated_on"] == freshness.night:
            budget -= max(cost(entity), row["prompt_tokens"] + row["output_tokens"])
    ordered = sorted(stale, key=lambda due: (-due.worth, due.entity_id))
    return Plan.of(ordered, budget, lambda due: due.reserve)


def extended(
    plan: Plan[Asked], tokens: int, cost: Callable[[Asked], int], least: int
) -> tuple[Plan[Asked], tuple[Asked, ...]]:
    """The plan that asks, too, the next over budget whose reserve fits into so many tokens; and who they are.

    Nobody where that would be fewer than `least`.
    """
    more, spare = fitting(plan.over_budget, tokens, cost)
    if len(more) < least:
        return plan, ()
    rest = plan.over_budget[len(more) :]
    return Plan((*plan.asked, *more), rest, spare), more


def fitting(stale: Sequence[Asked], budget: int, cost: Callable[[Asked], int]) -> tuple[tuple[Asked, ...], int]:
    """The first whose reserve fits into the budget, and what it has left then."""
    found = []
    for one in stale:
        if (left := budget - cost(one)) < 0:
            break
        budget = left
        found.append(one)
    return tuple(found), budget
