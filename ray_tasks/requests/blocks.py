"""Requests in blocks: rows of `parsed_requests` and of `request_recommendations`, made side by side.

Apart from the task, so that workers import what they run: models stay loaded between blocks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_tasks.encoder import Encoder, load_encoder
from ray_tasks.generation.factory import make_generator
from ray_tasks.generation.protocol import Generator
from ray_tasks.interactions.rows import Ints
from ray_tasks.requests.asking import examples
from ray_tasks.requests.catalogue import AskedCatalogue
from ray_tasks.requests.constraints import Constraints
from ray_tasks.requests.links import Vectors
from ray_tasks.requests.parsing import Parsed, Parser
from ray_tasks.requests.ranked import Answer, answers
from ray_tasks.requests.wording import PERSONAL, explain
from ray_tasks.retrieval.text_similarity import vectors_of
from schemas.generation_config import Encoder as EncoderConfig
from schemas.generation_config import Generator as GeneratorConfig
from schemas.lake import Snapshot
from schemas.ranking_config import Requests
from schemas.tables.parsed_requests import PARSED_REQUESTS
from schemas.tables.request_recommendations import REQUEST_RECOMMENDATIONS

BLOCK = 256
"""Requests that are read or answered at once."""


def encoded(config: EncoderConfig, texts: list[str]) -> Vectors:
    """Unit vectors of texts; the encoder is loaded once per process."""
    return _encoder(config).encode(texts)


@cache
def _encoder(config: EncoderConfig) -> Encoder:
    return load_encoder(config)


@cache
def _generator(config: GeneratorConfig) -> Generator:
    # Few words of few requests are left for the model: no engine of vLLM is started for them.
    called = config.model_copy(update={"backend": "transformers"}) if config.backend == "vllm" else config
    return make_generator(called, examples(), threads=1)


@dataclass(frozen=True)
class ParsedBlocks:
    """Rows of `parsed_requests` for requests in blocks; `generator` explains words that no term does, if any."""

    requests: pa.Table
    parser: Parser
    generator: GeneratorConfig | None

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.ceil(self.requests.num_rows / BLOCK)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        part = self.requests.slice(number * BLOCK, BLOCK)
        model = _generator(self.generator) if self.generator else None
        parsed = self.parser.parse(part["text"].to_pylist(), model)
        rows = [
            {
                **{name: row[name] for name in ("request_id", "user_id", "timestamp")},
                **{field.name: getattr(one.constraints, field.name) for field in fields(Constraints)},
                "unsupported": one.unsupported,
                "outside": one.outside,
                "vector": one.vector,
            }
            for row, one in zip(part.to_pylist(), parsed, strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=PARSED_REQUESTS.schema)


@dataclass(frozen=True)
class People:
    """What is known of those who ask: their vectors, what they took, their own lists, and what they hid (positions)."""

    embeddings: Snapshot
    histories: Snapshot
    recommendations: Snapshot
    hidden: Mapping[str, Ints]

    def of(self, user_ids: Sequence[str]) -> "Known":
        """What is known of some users."""
        among = pc.field("user_id").isin(pa.array(sorted(set(user_ids)), pa.string()))
        told = self.embeddings.dataset().to_table(filter=among & (pc.field("kind") == "profile"))
        history = self.histories.dataset().to_table(columns=["user_id", "items"], filter=among).to_pylist()
        own = self.recommendations.dataset().to_table(columns=["user_id", "rank", "item_id", "score"], filter=among)
        lists: dict[str, list[dict[str, Any]]] = {}
        for row in own.sort_by([("user_id", "ascending"), ("rank", "ascending")]).to_pylist():
            lists.setdefault(row["user_id"], []).append(row)
        tastes = dict(zip(told["user_id"].to_pylist(), vectors_of(told), strict=True)) if told.num_rows else {}
        return Known(tastes, {row["user_id"]: [one["item_id"] for one in row["items"]] for row in history}, lists)


@dataclass(frozen=True)
class Known:
    """By user: unit vectors of profiles, item ids of the history, rows of `recommendations` in the order of rank."""

    tastes: dict[str, Any]
    seen: dict[str, list[str]]
    lists: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class AnsweredBlocks:
    """Rows of `request_recommendations` for the parsed requests in blocks."""

    parsed: Snapshot
    ids: tuple[str, ...]
    catalogue: AskedCatalogue
    people: People
    settings: Requests

    @classmethod
    def of(cls, parsed: Snapshot, catalogue: AskedCatalogue, people: People, settings: Requests) -> "AnsweredBlocks":
        """For all rows of `parsed_requests`."""
        ids = parsed.read(["request_id"])["request_id"].to_pylist()
        return cls(parsed, tuple(ids), catalogue, people, settings)

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.ceil(len(self.ids) / BLOCK)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        own = self.ids[number * BLOCK : (number + 1) * BLOCK]
        # A range, not a set: files hold neighbouring ids, and those of other blocks are passed over.
        among = (pc.field("request_id") >= own[0]) & (pc.field("request_id") <= own[-1])
        part = self.parsed.dataset().to_table(filter=among).sort_by("request_id")
        known = self.people.of(part["user_id"].to_pylist())
        rows = [row for one in part.to_pylist() for row in self._of_request(one, known)]
        return pa.Table.from_pylist(rows, schema=REQUEST_RECOMMENDATIONS.schema)

    def _of_request(self, row: dict[str, Any], known: Known) -> list[dict[str, Any]]:
        user, about = row["user_id"], {name: row[name] for name in ("request_id", "user_id")}
        if row["outside"] is not None:
            own = known.lists.get(user, [])[: self.settings.top_k]
            said = {"source": "personal", "met": [], "missed": [], "text": PERSONAL[row["outside"]]}
            return [
                {**about, "rank": rank, "item_id": one["item_id"], "score": one["score"], **said}
                for rank, one in enumerate(own, 1)
            ]
        parsed = _parsed(row)
        ids = self.catalogue.item_ids
        seen = np.flatnonzero(np.isin(ids, np.array(known.seen.get(user, []), dtype=object)))
        without = np.concatenate([seen, self.people.hidden.get(user, seen[:0])])
        found = answers(parsed, known.tastes.get(user), without, self.catalogue, self.settings.top_k)
        return [{**about, "rank": rank, **self._row(one, parsed)} for rank, one in enumerate(found, 1)]

    def _row(self, one: Answer, parsed: Parsed) -> dict[str, Any]:
        ids, titles = self.catalogue.item_ids, self.catalogue.titles
        named = np.isin(ids, np.array(parsed.constraints.like, dtype=object))
        like = [titles[place] for place in np.flatnonzero(named)]
        return {
            "item_id": ids[one.item],
            "score": one.score,
            "source": "request",
            "met": one.met,
            "missed": one.missed,
            "text": explain(parsed.constraints, one.met, one.missed, like),
        }


def _parsed(row: dict[str, Any]) -> Parsed:
    lists = {name: tuple(row[name]) for name in ("include", "exclude", "like", "unlike")}
    asked = Constraints(**lists, first_year=row["first_year"], last_year=row["last_year"])
    return Parsed("", asked, None, tuple(row["unsupported"]), np.asarray(row["vector"], dtype=np.float32))
