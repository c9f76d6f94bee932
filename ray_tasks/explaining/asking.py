"""Which explanations the language model phrases tonight, and what it has phrased before.

A text is known by its generation key: what the prompt tells, the form of the answer, model, prompt and decoding.
Whoever has the same evidence has the same text, tonight and on later nights, and it is paid once. The budget goes to
the first places of the lists, of the most active users first; where it ends, the template serves.
"""

import heapq
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from ray_tasks.explaining.drafts import Draft
from ray_tasks.explaining.phrasing import form, told
from ray_tasks.generation.factory import generator_revision
from ray_tasks.profiles.kinds import EXPLANATION
from ray_tasks.profiles.plan import Entity, Plan, Row, generation_key, recipe_key
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.profiles.publication import answers, carried_out, cost_of
from ray_tasks.profiles.rows import Outcome
from ray_tasks.profiles.wire import Spool
from ray_tasks.profiles.writer import Writers
from schemas.generation_config import Generator

LEAST = 24
"""Tokens that a prompt and its answer take at least: no budget reaches further than so many for each."""
FEWEST = 4
"""Texts that are still asked for with what short answers have left of the budget."""


@dataclass(frozen=True)
class Author:
    """Who phrases: the model by its settings and revision, and the recipe that names both and the prompt."""

    config: Generator
    revision: str
    recipe: str

    @classmethod
    def of(cls, config: Generator) -> "Author":
        """The configured generator. Raises ModelError when its files are not in order."""
        revision = generator_revision(config)
        return cls(config, revision, recipe_key(config, revision, PromptFile.load(config.explanation_prompt)))

    def entity(self, draft: Draft) -> Entity:
        """What is asked about a draft; not `enough` where there is nothing to phrase."""
        evidence = told(draft.item, draft.statements, draft.cited, self.config.item_kind)
        return Entity(evidence, self.recipe, generation_key(self.recipe, evidence, form(evidence, self.config)))


@dataclass(frozen=True)
class Phrased:
    """What became of a generation key: the text, or the reason why there is none; what all attempts took, and when."""

    text: str | None
    reason: str | None
    prompt_tokens: int
    output_tokens: int
    generated_on: date

    @classmethod
    def of_row(cls, row: Row) -> "Phrased":
        """From a row of `explanations` that the model was asked for."""
        tokens = row["prompt_tokens"], row["output_tokens"]
        return cls(row["text"] if row["source"] == "llm" else None, row["reason"], *tokens, row["generated_on"])


@dataclass(frozen=True)
class Asking:
    """What came of a night's asking: what is known of each key, the failed attempts, and figures for the report.

    `finished` where a later night would ask nothing more about the same drafts.
    """

    phrased: Mapping[str, Phrased]
    failed: Sequence[Row]
    counters: Mapping[str, Any]
    finished: bool


def ask(
    entities: Iterable[Entity],
    known: Mapping[str, Phrased],
    author: Author,
    budget: int,
    night: date,
    spool: Spool,
    words: frozenset[str],
) -> Asking:
    """Phrase what is not known yet, in the order given, as far as the budget of tokens reaches.

    `known` are keys of earlier nights and tries, tonight's included: what those took of tonight's budget is charged, so
    that a rerun asks for nothing. `words` are those that only evidence may bring up.
    """
    wanted = {entity.key: entity for entity in entities if entity.evidence.enough}
    kept = {key: known[key] for key in wanted if key in known and known[key].reason in (None, "rejected")}
    cost, prompt = cost_of(author.config, EXPLANATION), PromptFile.load(author.config.explanation_prompt)
    tonight = [key for key, one in kept.items() if one.generated_on == night]
    spent = {key: kept[key].prompt_tokens + kept[key].output_tokens for key in tonight}
    room = budget - sum(max(cost(wanted[key]), tokens) for key, tokens in spent.items())
    due = [entity for key, entity in wanted.items() if key not in kept]
    plan = Plan.of(due, room, cost)

    writers = Writers(EXPLANATION.name, author.config, words)

    def answer(asked: Sequence[Entity], spare_each: float) -> Iterable[Mapping[str, Outcome]]:
        return answers(spool, asked, writers, spare_each)

    started = time.monotonic()
    left = budget - sum(spent.values())
    plan, outcomes = carried_out(plan, left, cost, answer, least=FEWEST)
    seconds = round(time.monotonic() - started, 1) if outcomes else 0.0
    keys = {entity.entity_id: entity.key for entity in plan.asked}
    new = {keys[entity_id]: _phrased(outcome, night) for entity_id, outcome in outcomes.items()}
    attempts = [attempt for outcome in outcomes.values() for attempt in outcome.attempts]
    counters = {
        "written": sum(one.text is not None for one in new.values()),
        "reused": len(kept),
        "over_budget": len(wanted) - len(kept) - len(new),
        "rejected": dict(sorted(Counter(a["reason"] for a in attempts if a["reason"]).items())),
        "prompt_tokens": sum(a["prompt_tokens"] for a in attempts),
        "output_tokens": sum(a["output_tokens"] for a in attempts),
        "tokens_budget": budget,
        "generation_seconds": seconds,
        "prompts": {prompt.version: prompt.text},
    }
    finished = counters["over_budget"] == 0 and all(one.reason != "unserved" for one in new.values())
    return Asking({**kept, **new}, [a for a in attempts if a["reason"]], counters, finished)


def all_reused(counters: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of a night that publishes an earlier one's texts again, from the earlier one's; none where none asked."""
    if "written" not in counters:
        return {}
    nothing = {"written": 0, "rejected": {}, "prompt_tokens": 0, "output_tokens": 0, "generation_seconds": 0.0}
    return {**nothing, "reused": counters["written"] + counters["reused"]}


def first_places(
    recommended: pa.Table, places: Mapping[str, int], activity: Mapping[str, int], most: int
) -> list[tuple[str, int]]:
    """Users and ranks that are asked about, in that order: first places before second ones, active users before others.

    `recommended` has user_id, rank and arm; `places` tells by arm how many first places the model may phrase.
    """
    columns = (recommended[name].to_pylist() for name in ("user_id", "rank", "arm"))
    wanted = (
        (rank, -activity.get(user_id, 0), user_id)
        for user_id, rank, arm in zip(*columns, strict=True)
        if rank <= places.get(arm, 0)
    )
    return [(user_id, rank) for rank, _, user_id in heapq.nsmallest(most, wanted)]


def _phrased(outcome: Outcome, night: date) -> Phrased:
    last = outcome.last
    reason = None if not last["reason"] else "unserved" if outcome.is_unserved else "rejected"
    text = None if reason else json.loads(last["profile"])["text"]
    return Phrased(text, reason, outcome.tokens["prompt_tokens"], outcome.tokens["output_tokens"], night)
