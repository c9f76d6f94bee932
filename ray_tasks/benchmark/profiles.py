"""Item profiles of a data set as a first night writes them: by the model within a budget, by the template beyond it.

Nothing but the catalogue is told: no review, whose date a data set seldom has, and no profile of an earlier night.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ray_tasks.benchmark.data import Dataset
from ray_tasks.embeddings import TOLD, profile_texts
from ray_tasks.evidence.catalogue import Catalogue
from ray_tasks.interactions.windows import Log
from ray_tasks.item_profiles import item_entities
from ray_tasks.profiles.entity_files import chosen
from ray_tasks.profiles.kinds import ITEM
from ray_tasks.profiles.plan import Due, Entity, Freshness, plan_profiles
from ray_tasks.profiles.publication import answers, carried_out, cost_of, tokens_of
from ray_tasks.profiles.rows import Outcome
from ray_tasks.profiles.wire import Spool
from ray_tasks.profiles.writer import Writers
from ray_tasks.vocabulary.induction import induce
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.generation_config import Generator
from schemas.generation_config import Vocabulary as VocabularyConfig
from schemas.tables import TABLES

BUDGET = int(Generator().nightly_token_budget * Generator().item_share)
"""Tokens that a night with default settings spends on items."""


@dataclass(frozen=True)
class Profiles:
    """`texts`: what a night encodes of each item's profile, by item_id; who wrote them, and what that took.

    `tokens` are those of all attempts; `seconds` those of this run, 0 where an earlier one had written all.
    """

    texts: Mapping[str, str] = field(repr=False)
    by_llm: int
    by_template: int
    tokens: int
    seconds: float

    @property
    def counts(self) -> dict[str, float]:
        """The figures, for a result's JSON."""
        names = ("by_llm", "by_template", "tokens", "seconds")
        return {name: getattr(self, name) for name in names}


def described(data: Dataset) -> tuple[list[dict[str, Any]], Vocabulary]:
    """The catalogue as rows of `item_documents`, and the vocabulary that it suggests."""
    columns = (data.log.item_ids, data.titles, data.categories, data.documents)
    rows = [
        {"item_id": item_id, "title": title, "categories": list(categories), "document": _fields(title, document)}
        for item_id, title, categories, document in zip(*columns, strict=True)
    ]
    return rows, induce(rows, {}, VocabularyConfig())


def item_profiles(data: Dataset, cut: Log, generator: Generator, folder: Path, budget: int = BUDGET) -> Profiles:
    """Profiles of all items; the model is asked for those with most interactions in the training split of `cut`.

    Answers are kept in `folder` by the hash of model, prompt and evidence: a second run asks for none again.
    Raises ModelError when the model's files are not in order.
    """
    rows, vocabulary = described(data)
    taken = np.bincount(cut.item[cut.split == 0], minlength=len(rows))
    activity = {row["item_id"]: float(n) for row, n in zip(rows, taken, strict=True)}
    entities = item_entities(rows, Catalogue.of(rows, vocabulary), vocabulary, generator, activity, {}, {})
    started, spool = time.monotonic(), Spool(str(folder))
    kept = len(spool)
    answered = _answered(entities, generator, vocabulary.words(), budget, spool)
    is_new = len(spool) > kept
    accepted = {item_id: one for item_id, one in answered.items() if one.last["reason"] is None}
    return Profiles(
        _texts(entities, accepted),
        by_llm=len(accepted),
        by_template=len(entities) - len(accepted),
        tokens=tokens_of(row for one in answered.values() for row in one.attempts),
        seconds=round(time.monotonic() - started, 1) if is_new else 0.0,
    )


def _answered(
    entities: Sequence[Entity], generator: Generator, words: frozenset[str], budget: int, spool: Spool
) -> Mapping[str, Outcome]:
    """As a night asks that has no profile yet: all are stale, the most interactions first."""
    cost = cost_of(generator, ITEM)
    freshness = Freshness(date.min, 1, 1, frozenset())
    plan = plan_profiles(((entity, None) for entity in entities), budget, cost, freshness)

    writers = Writers(ITEM.name, generator, words)

    def answer(asked: Sequence[Due], spare: float) -> Iterable[Mapping[str, Outcome]]:
        return answers(spool, chosen(entities, asked), writers, spare)

    return carried_out(plan, budget, lambda due: due.reserve, answer, least=generator.batch_size)[1]


def _texts(entities: Sequence[Entity], accepted: Mapping[str, Outcome]) -> dict[str, str]:
    rows = []
    for entity in entities:
        one = accepted.get(entity.entity_id)
        profile = json.loads(one.last["profile"]) if one else ITEM.template(entity.evidence)
        rows.append({ITEM.id_column: entity.entity_id, **ITEM.complete(profile, entity.figures)})
    schema = pa.schema([TABLES[ITEM.table].schema.field(name) for name in TOLD[ITEM.id_column]])
    told = profile_texts(pa.Table.from_pylist(rows, schema=schema), ITEM.id_column)
    return dict(zip(told[ITEM.id_column].to_pylist(), told["profile"].to_pylist(), strict=True))


def _fields(title: str, document: str) -> str:
    """A document in the form `field: text. field: text`, whose fields a night's evidence reads one by one."""
    rest = document.removeprefix(title).removeprefix(". ")
    return ". ".join([f"title: {title}", *(f"text: {part}" for part in rest.split(". ") if part)])
