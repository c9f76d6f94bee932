"""From plan and answers to the published rows of profiles and rejects: every entity exactly once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_tasks.generation.protocol import UNSERVED
from ray_tasks.profiles.kinds import ProfileKind
from ray_tasks.profiles.plan import Entity, Plan, Row
from schemas.config import RunConfig


@dataclass(frozen=True)
class Outcome:
    """What became of asking for one entity: its attempts in order, the last of which decides."""

    attempts: tuple[Row, ...]

    @property
    def last(self) -> Row:
        """The deciding attempt."""
        return self.attempts[-1]

    @property
    def is_unserved(self) -> bool:
        """Whether the backend had no time for it: to be asked again, unlike what the checks refused."""
        return self.last["reason"] in UNSERVED

    @property
    def tokens(self) -> dict[str, int]:
        """What all attempts took."""
        names = ("prompt_tokens", "output_tokens")
        return {name: sum(attempt[name] for attempt in self.attempts) for name in names}


def outcomes(answers: Iterable[Row]) -> dict[str, Outcome]:
    """Answers by entity_id."""
    found: dict[str, list[Row]] = {}
    for answer in answers:
        found.setdefault(answer["entity_id"], []).append(answer)
    ordered = {entity_id: sorted(rows, key=lambda row: row["attempt"]) for entity_id, rows in found.items()}
    return {entity_id: Outcome(tuple(rows)) for entity_id, rows in ordered.items()}


@dataclass(frozen=True)
class Writing:
    """What all rows of one night and kind share."""

    kind: ProfileKind
    config: RunConfig
    revision: str

    def rows(self, plan: Plan, answered: Mapping[str, Outcome]) -> list[dict[str, Any]]:
        """All rows of the night's partition: one for each entity of the plan.

        What was asked for and has no answer was cut off by the budget of seconds.
        """
        unanswered = [entity for entity in plan.asked if entity.entity_id not in answered]
        return [
            *(self._reused(entity, row) for entity, row in plan.reused),
            *(self._answered(e, answered[e.entity_id], plan) for e in plan.asked if e.entity_id in answered),
            *(self._put_off(entity, plan, "over_budget") for entity in (*unanswered, *plan.over_budget)),
            *(self._template(entity, "too_little_evidence") for entity in plan.too_little_evidence),
        ]

    def rejects(self, plan: Plan, answered: Mapping[str, Outcome], earlier: Iterable[Row]) -> list[dict[str, Any]]:
        """This run's failed attempts, and those behind the profiles that are reused."""
        kept = {(e.entity_id, row["generation_key"]) for e, row in plan.reused}
        kept |= {(entity_id, row["generation_key"]) for entity_id, row in plan.outdated.items()}
        keys = {entity.entity_id: entity.key for entity in plan.asked}
        carried = [dict(row) for row in earlier if (row[self.kind.id_column], row["generation_key"]) in kept]
        new = [
            self._reject(entity_id, keys[entity_id], attempt)
            for entity_id, outcome in answered.items()
            for attempt in outcome.attempts
            if attempt["reason"]
        ]
        return [*carried, *new]

    def _row(self, entity: Entity, profile: Mapping[str, Any], **origin: Any) -> dict[str, Any]:
        """One row; `origin` overrides what holds for a template that no model was asked for."""
        return {
            self.kind.id_column: entity.entity_id,
            "as_of": self.config.as_of,
            **self.kind.complete(dict(profile), entity.figures),
            "evidence": entity.evidence.rows(),
            "source": "template",
            "reason": None,
            "recipe_key": entity.recipe,
            "generation_key": entity.key,
            "model": None,
            "model_revision": None,
            "prompt_version": self.kind.prompt_version(self.config.generator),
            "generated_on": None,
            "prompt_tokens": 0,
            "output_tokens": 0,
            **origin,
        }

    def _template(self, entity: Entity, reason: str, **origin: Any) -> dict[str, Any]:
        return self._row(entity, self.kind.template(entity.evidence), reason=reason, **origin)

    def _answered(self, entity: Entity, outcome: Outcome, plan: Plan) -> dict[str, Any]:
        spent = {**outcome.tokens, "generated_on": self.config.night}
        if outcome.is_unserved:
            return self._put_off(entity, plan, "unserved", **spent)
        if outcome.last["reason"]:
            return self._template(entity, "rejected", **spent)
        model = {"model": self.config.generator.model, "model_revision": self.revision}
        return self._row(entity, json.loads(outcome.last["profile"]), source="llm", **model, **spent)

    def _put_off(self, entity: Entity, plan: Plan, reason: str, **spent: Any) -> dict[str, Any]:
        """The outdated row, else a template that the next night replaces."""
        row = plan.outdated.get(entity.entity_id)
        return self._reused(entity, row) if row else self._template(entity, reason, **spent)

    def _reused(self, entity: Entity, row: Row) -> dict[str, Any]:
        """An earlier night's row: what the model wrote stays, what is computed is of tonight."""
        return {**self.kind.complete(dict(row), entity.figures), "as_of": self.config.as_of}

    def _reject(self, entity_id: str, key: str, attempt: Row) -> dict[str, Any]:
        return {
            self.kind.id_column: entity_id,
            "attempt": attempt["attempt"],
            "reason": attempt["reason"],
            "output": attempt["output"],
            "generation_key": key,
            "model": self.config.generator.model,
            "model_revision": self.revision,
            "prompt_version": self.kind.prompt_version(self.config.generator),
            "generated_on": self.config.night,
        }


def ordered(rows: Sequence[dict[str, Any]], id_column: str) -> list[dict[str, Any]]:
    """Rows by id and attempt: the same file for the same rows."""
    return sorted(rows, key=lambda row: (row[id_column], row.get("attempt", 0)))
