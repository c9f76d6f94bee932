"""A night's profiles of one kind, from entities to published tables: plan, generate, check, publish."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import chain
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ray_tasks.generation.factory import generator_revision, make_token_counter
from ray_tasks.profiles.costs import Tally, cost_row
from ray_tasks.profiles.entity_files import in_rounds
from ray_tasks.profiles.kinds import ProfileKind, TextKind
from ray_tasks.profiles.plan import Asked, Due, Entity, Freshness, Plan, Row, extended, plan_profiles
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.profiles.rows import Answered, Outcome, Writing, outcomes
from ray_tasks.profiles.wire import Spool
from ray_tasks.profiles.writer import Writers
from ray_tasks.ray_session import ray_session
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.config import RunConfig
from schemas.generation_config import Generator
from schemas.lake import Snapshot
from schemas.night import Task, run_folder
from schemas.stage_files import write_rows, write_tables
from schemas.tables import TABLES

AT_ONCE = 16_384
"""Entities that a model is asked about before the next are read: what they are asked waits in memory."""


class Parts(Protocol):
    """Entities in parts, each sorted by id; every pass over them gives the same again."""

    def __iter__(self) -> Iterator[Sequence[Entity]]: ...


def publish_profiles(
    task: Task, kind: ProfileKind, parts: Parts, vocabulary: Vocabulary, words: frozenset[str]
) -> dict[str, Any]:
    """Plan, generate, check, and publish profiles and rejects; returns the row of `generation_costs`.

    Two passes over `parts`: one to plan, one to write. Of a kind of any size there are in memory the part at hand, what
    a plan must know of each, and what the budget pays for. `words` are those of categories and themes that only
    evidence may bring up.
    """
    config, settings, stage = task.config, task.config.generator, task.stage(kind.table)
    budget, spent = token_budget(config, kind), tokens_tonight(task, kind)
    labels = frozenset(chain.from_iterable(vocabulary.labels(one) for one in ("theme", "mood")))
    freshness = Freshness(
        config.night, settings.stale_share, settings.stale_days, labels, full_refresh=settings.full_refresh
    )
    earlier, rejected = (Earlier(task.previous(table), kind.id_column) for table in (kind.table, kind.rejects))
    plan = plan_profiles(earlier.beside(parts), budget, cost_of(settings, kind), freshness)
    until = None if settings.nightly_second_budget is None else _deadline(config, kind, is_used=spent is not None)
    spool = Spool(f"{run_folder(config.lake, config.run_id)}/answers/{kind.name}")

    writers = Writers(kind.name, settings, words)

    def answer(asked: Sequence[Due], spare: float) -> Iterator[Mapping[str, Outcome]]:
        rounds = in_rounds(parts, asked, AT_ONCE)
        # The variable of a loop would hold one round while the next is read.
        return chain.from_iterable(map(partial(answers, spool, writers=writers, spare=spare, until=until), rounds))

    started = time.monotonic()
    plan, answered = carried_out(
        plan, budget - (spent or 0), lambda due: due.reserve, answer, least=settings.batch_size
    )
    seconds = time.monotonic() - started if answered else 0.0
    writing, tally = Writing(kind, config, generator_revision(settings), freshness), Tally(config.night)
    rejects: list[pa.Table] = []

    def tables() -> Iterator[pa.Table]:
        for part in parts:
            rows, refused = part_rows(writing, part, earlier.of(part), rejected.of(part), answered)
            tally.add(rows, refused)
            rejects.append(pa.Table.from_pylist(refused, schema=TABLES[kind.rejects].schema))
            yield pa.Table.from_pylist(rows, schema=TABLES[kind.table].schema)

    write_tables(stage, tables())
    refused_stage = task.stage(kind.rejects)
    write_rows(refused_stage, pa.concat_tables([TABLES[kind.rejects].schema.empty_table(), *rejects]))
    task.publish(stage)
    task.publish(refused_stage)
    over_budget = len(plan.over_budget) + sum(due.entity_id not in answered for due in plan.asked)
    costs = cost_row(kind, config, writing.revision, tally, over_budget, budget)
    reused = tally.profiles - len(plan.asked) - len(plan.over_budget) - tally.fallback["too_little_evidence"]
    task.counters.update(counters(answered, reused, tally, costs, seconds))
    return costs


class Earlier:
    """What is published of a table about the entities of a part."""

    def __init__(self, snapshot: Snapshot | None, id_column: str) -> None:
        self._snapshot, self._id = snapshot, id_column

    def of(self, part: Sequence[Entity]) -> dict[str, list[Row]]:
        """Rows by id. A part is a range of ids, so that what lies sorted is not read as a whole."""
        found: dict[str, list[Row]] = {}
        if self._snapshot and part:
            first, last = part[0].entity_id, part[-1].entity_id
            rows = self._snapshot.read(where=(pc.field(self._id) >= first) & (pc.field(self._id) <= last))
            for row in rows.to_pylist():
                found.setdefault(row[self._id], []).append(row)
        return found

    def beside(self, parts: Parts) -> Iterator[tuple[Entity, Row | None]]:
        """Each entity and the one row about it."""
        for part in parts:
            found = self.of(part)
            yield from ((entity, _only(found.get(entity.entity_id))) for entity in part)


def part_rows(
    writing: Writing,
    part: Sequence[Entity],
    earlier: Mapping[str, Sequence[Row]],
    rejected: Mapping[str, Sequence[Row]],
    answered: Mapping[str, Outcome],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of profiles, one for each entity, and of rejects, by id and attempt: the same file for the same rows."""
    rows, refused = [], []
    for entity in part:
        outcome = answered.get(entity.entity_id)
        again = writing.published_again(entity, _only(earlier.get(entity.entity_id)), outcome)
        rows.append(writing.row(entity, again, outcome))
        attempts = writing.rejects(entity, again, outcome, rejected.get(entity.entity_id, ()))
        refused += sorted(attempts, key=lambda row: row["attempt"])
    return rows, refused


def _only(rows: Sequence[Row] | None) -> Row | None:
    return rows[0] if rows else None


def tokens_tonight(task: Task, kind: ProfileKind) -> int | None:
    """Tokens that an earlier try of this night has published profiles for; None where it has published none."""
    snapshot = task.previous(kind.table)
    if snapshot is None:
        return None
    columns = ["generated_on", "prompt_tokens", "output_tokens"]
    rows = snapshot.read(columns, where=pc.field("generated_on") == task.config.night).to_pylist()
    return tokens_of(rows) if rows else None


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
    plan: Plan[Asked],
    budget: int,
    cost: Callable[[Asked], int],
    answer: Callable[[Sequence[Asked], float], Iterable[Mapping[str, Outcome]]],
    least: int,
) -> tuple[Plan[Asked], Answered]:
    """Ask as planned, then for the next in line while `budget` tokens last; the plan in the end, and all outcomes.

    `answer` gives outcomes by entity_id as they come, with so many spare tokens for each entity. It ends early where
    the backend does.
    """
    answered, more, is_unserved = Answered(), plan.asked, False
    with ray_session() if more else nullcontext():  # once for all rounds
        while more:
            for found in answer(more, plan.spare / len(more)):
                answered.add(found)
                budget -= tokens_of(row for one in found.values() for row in one.attempts)
                is_unserved |= any(one.is_unserved for one in found.values())
            if len(answered) < len(plan.asked) or is_unserved:
                break
            plan, more = extended(plan, budget, cost, least)
    return plan, answered


def tokens_of(rows: Iterable[Row]) -> int:
    """Prompt and output tokens of rows of profiles or attempts."""
    return sum(row["prompt_tokens"] + row["output_tokens"] for row in rows)


def answers(
    spool: Spool, asked: Sequence[Entity], writers: Writers, spare: float, until: float | None = None
) -> Iterator[Mapping[str, Outcome]]:
    """Outcomes by entity_id: those in the spool, which an earlier try has paid for, then new ones, which join it.

    Stops when the monotonic clock is past `until`.
    """
    paid = paid_for(spool, asked)
    yield {entity_id: outcome for (_, entity_id), outcome in paid.items()}
    due = [entity for entity in asked if (entity.key, entity.entity_id) not in paid]
    if until is not None and time.monotonic() > until:
        return
    for table in writers.ask(due, spare):
        yield outcomes(spool.add(table).to_pylist())
        if until is not None and time.monotonic() > until:
            return


def paid_for(spool: Iterable[pa.Table], asked: Sequence[Entity]) -> dict[tuple[str, str], Outcome]:
    """Outcomes that a spool holds of entities, by generation key and id: several users may have the same evidence."""
    wanted = {(entity.key, entity.entity_id) for entity in asked}
    keys = pa.array([entity.key for entity in asked], pa.string())
    tables = (table.filter(pc.is_in(table["generation_key"], value_set=keys)) for table in spool)
    found = [outcome for table in tables for outcome in outcomes(table.to_pylist()).values()]
    of_each = {(one.last["generation_key"], one.last["entity_id"]): one for one in found if not one.is_unserved}
    return {one: outcome for one, outcome in of_each.items() if one in wanted}


def _deadline(config: RunConfig, kind: ProfileKind, is_used: bool) -> float:
    """When the budget of seconds ends, by the monotonic clock; a night that has published profiles has used it."""
    share = config.generator.item_share if kind.name == "item" else 1 - config.generator.item_share
    return -math.inf if is_used else time.monotonic() + (config.generator.nightly_second_budget or 0) * share


def counters(answered: Mapping[str, Outcome], reused: int, tally: Tally, costs: Row, seconds: float) -> dict[str, Any]:
    """Figures of the task for the night's report."""
    asked, rejected = Counter[str](), Counter[str]()
    for outcome in answered.values():
        asked["written"] += outcome.last["reason"] is None
        asked["retried"] += len(outcome.attempts) > 1
        asked.update(outcome.tokens)
        rejected.update(attempt["reason"] for attempt in outcome.attempts if attempt["reason"])
    return {
        "written": asked["written"],
        "reused": reused,
        "fallback": dict(sorted(tally.fallback.items())),
        "rejected": dict(sorted(rejected.items())),
        "retried": asked["retried"],
        "prompt_tokens": asked["prompt_tokens"],
        "output_tokens": asked["output_tokens"],
        "tokens_budget": costs["budget_tokens"],
        "generation_seconds": round(seconds, 1),
        "costs": dict(costs),
        "prompts": {costs["prompt_version"]: PromptFile.load(costs["prompt_version"]).text},
    }
