"""From plan and answers to the published rows of profiles and rejects: every entity exactly once."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ray_tasks.generation.factory import generator_revision, make_token_counter
from ray_tasks.profiles.kinds import ProfileKind
from ray_tasks.profiles.plan import Entity, Plan, Row, plan_profiles
from ray_tasks.profiles.prompts import PromptFile
from ray_tasks.profiles.writer import generate
from schemas.config import RunConfig
from schemas.lake import Snapshot
from schemas.night import Task
from schemas.stage_files import write_rows
from schemas.tables import TABLES


@dataclass(frozen=True)
class Writing:
    """What all rows of one night and kind share."""

    kind: ProfileKind
    config: RunConfig
    revision: str

    def row(self, entity: Entity, profile: Mapping[str, Any], **origin: Any) -> dict[str, Any]:
        """One row; `origin` overrides what holds for a template that no model was asked for."""
        evidence = {"evidence": list(entity.evidence.item_ids)} if self.kind.has_evidence_column else {}
        return {
            self.kind.id_column: entity.entity_id,
            "as_of": self.config.as_of,
            **profile,
            **evidence,
            "source": "template",
            "reason": None,
            "generation_key": entity.key,
            "model": None,
            "model_revision": None,
            "prompt_version": self.kind.prompt_version,
            "generated_on": None,
            "prompt_tokens": 0,
            "output_tokens": 0,
            **origin,
        }

    def template(self, entity: Entity, reason: str, **origin: Any) -> dict[str, Any]:
        """A row from the template, with the reason why."""
        return self.row(entity, self.kind.template(entity).model_dump(), reason=reason, **origin)

    def answered(self, entity: Entity, answer: Row) -> dict[str, Any]:
        """A row from the model's answer; the template where it was rejected, with the tokens that it cost."""
        spent = {"prompt_tokens": answer["prompt_tokens"], "output_tokens": answer["output_tokens"]}
        spent["generated_on"] = self.config.night
        if answer["reason"]:
            return self.template(entity, "rejected", **spent)
        model = {"model": self.config.generator.model, "model_revision": self.revision}
        return self.row(entity, json.loads(answer["profile"]), source="llm", **model, **spent)

    def reject(self, entity: Entity, answer: Row) -> dict[str, Any]:
        """A row of the rejects."""
        return {
            self.kind.id_column: entity.entity_id,
            "reason": answer["reason"],
            "output": answer["output"],
            "generation_key": entity.key,
            "model": self.config.generator.model,
            "prompt_version": self.kind.prompt_version,
            "generated_on": self.config.night,
        }


def publish_profiles(
    task: Task, kind: ProfileKind, entities: Sequence[Entity], vocabulary: frozenset[str], budget: int
) -> None:
    """Plan, generate, check, and publish profiles and rejects; counters tell what was done.

    `entities` come in order of value; `vocabulary` holds the catalogue's category words; `budget` is in tokens.
    """
    config, stage, rejects_stage = task.config, task.stage(kind.table), task.stage(kind.rejects)
    prompt = PromptFile.load(kind.prompt_version)
    count = make_token_counter(config.generator)

    def cost(entity: Entity) -> int:
        return count(prompt.prompt(entity.evidence)) + config.generator.max_new_tokens

    earlier = _by_id(task.previous(kind.table), kind)
    plan = plan_profiles(entities, earlier, config.night, budget, cost, full_refresh=config.generator.full_refresh)
    started = time.monotonic()
    answers = [a for table in generate(plan.asked, kind.name, config.generator, vocabulary) for a in table.to_pylist()]
    seconds = time.monotonic() - started if answers else 0.0
    writing = Writing(kind, config, generator_revision(config.generator))
    rows = profile_rows(writing, plan, answers)
    rejects = reject_rows(writing, plan, answers, _by_id(task.previous(kind.rejects), kind))
    for target, found in ((stage, rows), (rejects_stage, rejects)):
        write_rows(target, pa.Table.from_pylist(found, schema=TABLES[target.table.name].schema))
    task.publish(stage)
    task.publish(rejects_stage)
    task.counters.update(counters(plan, answers, rows, budget, seconds))


def profile_rows(writing: Writing, plan: Plan, answers: Iterable[Row]) -> list[dict[str, Any]]:
    """All rows of the night's partition: one for each entity of the plan."""
    by_id = {entity.entity_id: entity for entity in plan.asked}
    return [
        *({**row, "as_of": writing.config.as_of} for row in plan.reused),
        *(writing.answered(by_id[answer["entity_id"]], answer) for answer in answers),
        *(writing.template(entity, "over_budget") for entity in plan.over_budget),
        *(writing.template(entity, "too_little_evidence") for entity in plan.too_little_evidence),
    ]


def reject_rows(
    writing: Writing, plan: Plan, answers: Iterable[Row], earlier: Mapping[str, Row]
) -> list[dict[str, Any]]:
    """This run's rejected outputs, and those behind the rejected rows that are reused."""
    by_id = {entity.entity_id: entity for entity in plan.asked}
    carried = [row[writing.kind.id_column] for row in plan.reused if row["reason"] == "rejected"]
    return [
        *(dict(earlier[entity_id]) for entity_id in carried if entity_id in earlier),
        *(writing.reject(by_id[answer["entity_id"]], answer) for answer in answers if answer["reason"]),
    ]


def counters(plan: Plan, answers: Sequence[Row], rows: Sequence[Row], budget: int, seconds: float) -> dict[str, Any]:
    """Figures of the task for the night's report."""
    return {
        "written": sum(answer["reason"] is None for answer in answers),
        "reused": len(plan.reused),
        "fallback": dict(sorted(Counter(row["reason"] for row in rows if row["reason"]).items())),
        "rejected": dict(sorted(Counter(answer["reason"] for answer in answers if answer["reason"]).items())),
        "prompt_tokens": sum(answer["prompt_tokens"] for answer in answers),
        "output_tokens": sum(answer["output_tokens"] for answer in answers),
        "tokens_budget": budget,
        "generation_seconds": round(seconds, 1),
    }


def _by_id(snapshot: Snapshot | None, kind: ProfileKind) -> dict[str, Row]:
    return {row[kind.id_column]: row for row in snapshot.read().to_pylist()} if snapshot else {}
