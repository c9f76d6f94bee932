"""A night's profiles of one kind, from entities to published tables: plan, generate, check, publish."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from ray_tasks.generation.factory import generator_revision, make_token_counter
from ray_tasks.profiles.costs import cost_row
from ray_tasks.profiles.kinds import ProfileKind
from ray_tasks.profiles.plan import Entity, Freshness, Plan, Row, plan_profiles
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.profiles.rows import Outcome, Writing, ordered, outcomes
from ray_tasks.profiles.wire import Spool
from ray_tasks.profiles.writer import generate
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.config import RunConfig
from schemas.night import Task, run_folder
from schemas.stage_files import write_rows
from schemas.tables import TABLES


def publish_profiles(
    task: Task, kind: ProfileKind, entities: Sequence[Entity], vocabulary: Vocabulary, words: frozenset[str]
) -> dict[str, Any]:
    """Plan, generate, check, and publish profiles and rejects; returns the row of `generation_costs`.

    `words` are those of categories and themes that only evidence may bring up.
    """
    config, stages = task.config, [task.stage(kind.table), task.stage(kind.rejects)]
    budget = token_budget(config, kind)
    earlier = {row[kind.id_column]: row for row in _rows(task, kind.table)}
    settings = config.generator
    labels = frozenset(chain.from_iterable(vocabulary.labels(one) for one in ("theme", "mood")))
    freshness = Freshness(settings.stale_share, settings.stale_days, labels, settings.full_refresh)
    plan = plan_profiles(entities, earlier, config.night, budget, cost_of(config, kind), freshness)
    started = time.monotonic()
    answered = outcomes(_answers(task, kind, plan, words, earlier.values()))
    seconds = time.monotonic() - started if answered else 0.0
    writing = Writing(kind, config, generator_revision(settings))
    rows = ordered(writing.rows(plan, answered), kind.id_column)
    rejects = ordered(writing.rejects(plan, answered, _rows(task, kind.rejects)), kind.id_column)
    for stage, found in zip(stages, (rows, rejects), strict=True):
        write_rows(stage, pa.Table.from_pylist(found, schema=TABLES[stage.table.name].schema))
        task.publish(stage)
    over_budget = len(plan.over_budget) + sum(entity.entity_id not in answered for entity in plan.asked)
    costs = cost_row(kind, config, writing.revision, rows, rejects, over_budget, budget)
    task.counters.update(counters(plan, answered, rows, costs, seconds))
    return costs


def token_budget(config: RunConfig, kind: ProfileKind) -> int:
    """Tokens that the night may spend on a kind."""
    items = int(config.generator.nightly_token_budget * config.generator.item_share)
    return items if kind.name == "item" else config.generator.nightly_token_budget - items


def cost_of(config: RunConfig, kind: ProfileKind) -> Any:
    """What one attempt at an entity may cost at most, in tokens. An endpoint is paid for the examples every time."""
    count = make_token_counter(config.generator)
    prompt = PromptFile.load(kind.prompt_version(config.generator))
    examples = count(prompt.prefix) if config.generator.backend == "openai" else 0

    def cost(entity: Entity) -> int:
        return examples + count(prompt.prompt(entity.evidence)) + config.generator.max_new_tokens

    return cost


def _answers(task: Task, kind: ProfileKind, plan: Plan, words: frozenset[str], earlier: Any) -> Iterator[Row]:
    """Attempts for what the plan asks: those that an earlier try of this task has paid for, then new ones.

    Stops when the budget of seconds is used up; a night that has published profiles already has used it.
    """
    config = task.config
    spool = Spool(f"{run_folder(config.lake, config.run_id)}/answers/{kind.name}")
    keys = {entity.key for entity in plan.asked}
    found = [outcome for table in spool for outcome in outcomes(table.to_pylist()).values()]
    kept = {one.last["generation_key"]: one for one in found if not one.is_unserved}
    paid = keys & set(kept)
    yield from (row for key in sorted(paid) for row in kept[key].attempts)
    due = [entity for entity in plan.asked if entity.key not in paid]
    limit = config.generator.nightly_second_budget
    if limit is not None and any(row["generated_on"] == config.night for row in earlier):
        return
    until = None if limit is None else time.monotonic() + limit * _share(config, kind)
    spare = plan.spare / max(1, len(plan.asked))
    for table in generate(due, kind.name, config.generator, words, spare=spare):
        yield from spool.add(table).to_pylist()
        if until is not None and time.monotonic() > until:
            return


def _share(config: RunConfig, kind: ProfileKind) -> float:
    return config.generator.item_share if kind.name == "item" else 1 - config.generator.item_share


def counters(
    plan: Plan, answered: dict[str, Outcome], rows: Sequence[Row], costs: Row, seconds: float
) -> dict[str, Any]:
    """Figures of the task for the night's report."""
    attempts = [attempt for outcome in answered.values() for attempt in outcome.attempts]
    return {
        "written": sum(outcome.last["reason"] is None for outcome in answered.values()),
        "reused": len(plan.reused),
        "fallback": dict(sorted(Counter(row["reason"] for row in rows if row["reason"]).items())),
        "rejected": dict(sorted(Counter(a["reason"] for a in attempts if a["reason"]).items())),
        "retried": sum(len(outcome.attempts) > 1 for outcome in answered.values()),
        "prompt_tokens": sum(attempt["prompt_tokens"] for attempt in attempts),
        "output_tokens": sum(attempt["output_tokens"] for attempt in attempts),
        "tokens_budget": costs["budget_tokens"],
        "generation_seconds": round(seconds, 1),
        "costs": dict(costs),
        "prompts": {costs["prompt_version"]: PromptFile.load(costs["prompt_version"]).text},
    }


def _rows(task: Task, table: str) -> list[dict[str, Any]]:
    """Newest published rows of a table, tonight's earlier try included."""
    snapshot = task.previous(table)
    return snapshot.read().to_pylist() if snapshot else []
