"""The two arms of a comparison: who writes, and what became of it."""

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ray_tasks.embeddings import profile_texts
from ray_tasks.generation.protocol import Generator
from ray_tasks.profiles.kinds import KINDS
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.rows import Outcome, outcomes
from ray_tasks.profiles.wire import to_wire
from ray_tasks.profiles.writer import ProfileWriter, Writers
from ray_tasks.ray_session import ray_session
from schemas.generation_config import Generator as GeneratorConfig
from schemas.tables import TABLES

log = logging.getLogger("nightrec.shadow")

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Arm:
    """A generator's configuration under the name by which the comparison knows it."""

    name: str
    config: GeneratorConfig
    revision: str


@dataclass(frozen=True)
class Written:
    """What an arm wrote about a sample of one kind: the attempts per entity, in the sample's order, and the seconds."""

    arm: Arm
    kind: str
    entities: tuple[Entity, ...]
    outcomes: tuple[Outcome, ...]
    seconds: float

    def profiles(self) -> list[dict[str, Any]]:
        """What a night would publish of each entity: what was accepted, else the template."""
        kind = KINDS[self.kind]
        return [
            kind.complete(
                kind.template(entity.evidence) if one.last["reason"] else json.loads(one.last["profile"]),
                entity.figures,
            )
            for entity, one in zip(self.entities, self.outcomes, strict=True)
        ]

    def texts(self) -> list[str]:
        """What a night would encode of each profile."""
        kind = KINDS[self.kind]
        ids = [{kind.id_column: entity.entity_id} for entity in self.entities]
        rows = [{**one, **profile} for one, profile in zip(ids, self.profiles(), strict=True)]
        schema = pa.schema([field for field in TABLES[kind.table].schema if field.name in rows[0]])
        found: list[str] = profile_texts(pa.Table.from_pylist(rows, schema=schema), kind.id_column)[
            "profile"
        ].to_pylist()
        return found


def write(
    arm: Arm, kind: str, entities: Sequence[Entity], words: frozenset[str], generator: Generator | None = None
) -> Written:
    """Ask an arm about a sample, in this process: loading the model is not part of the seconds.

    Only vLLM, which serves whole data sets, is asked as nights ask it, and its start counts. `generator` replaces the
    configured one in tests. Raises ModelError when the model's files are not in order.
    """
    if arm.config.backend == "vllm" and generator is None:
        started, answers = time.monotonic(), _as_nights_ask(Writers(kind, arm.config, words), entities)
    else:
        writer = ProfileWriter(kind, arm.config, words, os.cpu_count() or 1, generator)
        started, answers = time.monotonic(), map(writer, to_wire(entities, arm.config.batch_size))
    rows: list[dict[str, Any]] = []
    for table in answers:
        rows += table.to_pylist()
        log.info("%s writes %s profiles: %d / %d", arm.name, kind, len({r["entity_id"] for r in rows}), len(entities))
    seconds = time.monotonic() - started
    found: Mapping[str, Outcome] = outcomes(rows)
    return Written(arm, kind, tuple(entities), tuple(found[one.entity_id] for one in entities), seconds)


def _as_nights_ask(writers: Writers, entities: Sequence[Entity]) -> Iterator[pa.Table]:
    with ray_session():
        yield from writers.ask(entities)
