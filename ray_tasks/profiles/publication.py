"""A night's profiles of one kind, from entities to published tables: plan, generate, check, publish."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from ray_tasks.generation.factory import generator_revision, make_token_counter
from ray_tasks.profiles.costs import cost_row
from ray_tasks.profiles.kinds import ProfileKind, TextKind
from ray_tasks.profiles.plan import Entity, Freshness, Plan, Row, extended, plan_profiles
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.profiles.rows import Outcome, Writing, ordered, outcomes
from ray_tasks.profiles.wire import Spool
from ray_tasks.profiles.writer import generate
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.config import RunConfig
from schemas.generation_config import Generator
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
    cost = cost_of(settings, kind)
    plan = plan_profiles(entities, earlier, config.night, budget, cost, freshness)
    tonight = [row for row in earlier.values() if row["generated_on"] == config.night]
    until = None if settings.nightly_second_budget is None else _deadline(config, kind, is_used=bool(tonight))
    spool = Spool(f"{run_folder(config.lake, config.run_id)}/answers/{kind.name}")

    def answer(asked: Sequence[Entity], spare: float) -> Iterable[Row]:
        return answers(spool, asked, kind, settings, words, spare, until)

    started = time.monotonic()
    plan, answered = carried_out(plan, budget - tokens_of(tonight), cost, answer, least=settings.batch_size)
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


def cost_of(config: Generator, kind: TextKind) -> Callable[[Entity], int]:
    """What one attempt at an entity may cost at most, in tokens. An endpoint is paid for the examples every time."""
    count = make_token_counter(config)
    prompt = PromptFile.load(kind.prompt_version(config))
    examples = count(prompt.prefix) if config.backend == "openai" else 0

    def cost(entity: Entity) -> int:
        return examples + count(prompt.prompt(entity.evidence)) + config.max_new_tokens

    return cost


def carried_out(
    plan: Plan,
    budget: int,
    cost: Callable[[Entity], int],
    answer: Callable[[Sequence[Entity], float], Iterable[Row]],
    least: int,
) -> tuple[Plan, dict[str, Outcome]]:
    """Ask as planned, then for the next in line while `budget` tokens last; the plan in the end, and all outcomes.

    `answer` gives the attempts at entities, with so many spare tokens for each. It ends early where the backend does.
    """
    answered: dict[str, Outcome] = {}
    more = plan.asked
    while more:
        found = outcomes(answer(more, plan.spare / len(more)))
        answered |= found
        if len(found) < len(more) or any(one.is_unserved for one in found.values()):
            break
        left = budget - tokens_of(row for one in answered.values() for row in one.attempts)
        plan, more = extended(plan, left, cost, least)
    return plan, answered


def tokens_of(rows: Iterable[Row]) -> int:
    """Prompt and output tokens of rows of profiles or attempts."""
    return sum(row["prompt_tokens"] + row["output_tokens"] for row in rows)


def answers(
    spool: Spool,
    asked: Sequence[Entity],
    kind: TextKind,
    config: Generator,
    words: frozenset[str],
    spare: float,
    until: float | None = None,
) -> Iterator[Row]:
    """Attempts at entities: those in the spool, which an earlier try has paid for, then new ones, which join it.

    Stops when the monotonic clock is past `until`.
    """
    found = [outcome for table in spool for outcome in outcomes(table.to_pylist()).values()]
    kept = {one.last["generation_key"]: one for one in found if not one.is_unserved}
    paid = {entity.key for entity in asked} & set(kept)
    yield from (row for key in sorted(paid) for row in kept[key].attempts)
    due = [entity for entity in asked if entity.key not in paid]
    if until is not None and time.monotonic() > until:
        return
    for table in generate(due, kind.name, config, words, spare=spare):
        yield from spool.add(table).to_pylist()
        if until is not None and time.monotonic() > until:
            return


def _deadline(config: RunConfig, kind: ProfileKind, is_used: bool) -> float:
    """When the budget of seconds ends, by the monotonic clock; a night that has published profiles has used it."""
    share = config.generator.item_share if kind.name == "item" else 1 - config.generator.item_share
    return -math.inf if is_used else time.monotonic() + (config.generator.nightly_second_budget or 0) * share


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
