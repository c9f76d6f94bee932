"""How entities travel to the actors that ask the model, and how answers travel back and rest beside the lake."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ray_tasks.evidence.pieces import Evidence, Piece
from ray_tasks.generation.protocol import Generation
from ray_tasks.profiles.checks import Rejected
from ray_tasks.profiles.plan import Entity
from schemas.storage import list_files, resolve

ENTITIES = pa.schema([("recipe", pa.string()), ("key", pa.string()), ("evidence", pa.string())])
ANSWERS = pa.schema(
    [
        ("entity_id", pa.string()),
        ("generation_key", pa.string()),
        ("attempt", pa.int64()),
        ("profile", pa.string()),  # JSON of the checked profile; null where the attempt failed
        ("reason", pa.string()),  # null where it was accepted
        ("output", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
    ]
)


def to_wire(entities: Sequence[Entity], size: int) -> Iterator[pa.Table]:
    """Tables of ENTITIES, `size` rows each, in order."""
    for at in range(0, len(entities), size):
        part = entities[at : at + size]
        rows = [{"recipe": e.recipe, "key": e.key, "evidence": json.dumps(asdict(e.evidence))} for e in part]
        yield pa.Table.from_pylist(rows, schema=ENTITIES)


def from_wire(table: pa.Table) -> list[Entity]:
    """The entities of a table of ENTITIES, with what a prompt and a check need of them."""
    return [Entity(_evidence(row["evidence"]), row["recipe"], row["key"]) for row in table.to_pylist()]


def answer_row(
    entity: Entity, generation: Generation, outcome: dict[str, Any] | Rejected, attempt: int
) -> dict[str, Any]:
    """One row of ANSWERS."""
    rejected = isinstance(outcome, Rejected)
    return {
        "entity_id": entity.entity_id,
        "generation_key": entity.key,
        "attempt": attempt,
        "profile": None if rejected else json.dumps(outcome),
        "reason": outcome.reason if isinstance(outcome, Rejected) else None,
        "output": generation.text[:2_000] if rejected else "",
        "prompt_tokens": generation.prompt_tokens,
        "output_tokens": generation.output_tokens,
    }


def _evidence(text: str) -> Evidence:
    fields = json.loads(text)
    pieces = tuple(Piece(**{**piece, "labels": tuple(piece["labels"])}) for piece in fields.pop("pieces"))
    fields |= {name: tuple(fields[name]) for name in ("lines", "themes", "moods")}
    return Evidence(**fields, pieces=pieces)


class Spool:
    """Answers kept as they come, so that a task that fails half-way has not paid in vain.

    One Parquet file per block in the run's folder; an answer is known by its generation key. Iteration gives what
    earlier tries have left there, `len` counts what this one adds as well.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._earlier = list_files(uri, ".parquet")
        self._count = len(self._earlier)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[pa.Table]:
        for uri in self._earlier:
            system, path = resolve(uri)
            yield pq.read_table(path, filesystem=system, schema=ANSWERS)

    def add(self, table: pa.Table) -> pa.Table:
        """Keep a table of ANSWERS; returns it."""
        system, folder = resolve(self._uri)
        system.create_dir(folder, recursive=True)
        name = f"{self._count:05d}.parquet"
        pq.write_table(table, f"{folder}/.{name}", filesystem=system)  # hidden until it is whole
        system.move(f"{folder}/.{name}", f"{folder}/{name}")
        self._count += 1
        return table
