"""From plan and answers to the published rows of profiles and rejects: every entity exactly once."""

import json
import pickle
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ray_tasks.generation.protocol import UNSERVED
from ray_tasks.profiles.kinds import ProfileKind
from ray_tasks.profiles.plan import Entity, Freshness, Row
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


class Answered(Mapping[str, Outcome]):
    """Outcomes by entity_id, packed: everybody's wait in memory until the rows are written, and there may be many."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def add(self, found: Mapping[str, Outcome]) -> None:
        """Keep more of them."""
        packed = {entity_id: zlib.compress(pickle.dumps(outcome), level=1) for entity_id, outcome in found.items()}
        self._packed.update(packed)

    def __getitem__(self, entity_id: str) -> Outcome:
        found: Outcome = pickle.loads(zlib.decompress(self._packed[entity_id]))  # noqa: S301 - packed above
        return found

    def __contains__(self, entity_id: object) -> bool:
        return entity_id in self._packed

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


@dataclass(frozen=True)
class Writing:
    """What all rows of one night and kind share.

    A row follows from the entity, the earlier row that is published `again`, if any, and what became of asking
    (`outcome`): None where it was not asked about, or the budget of seconds cut it off.
    """

    kind: ProfileKind
    config: RunConfig
    revision: str
    freshness: Freshness

    def row(self, entity: Entity, again: Row | None, outcome: Outcome | None) -> dict[str, Any]:
        """The entity's row in the night's partition."""
        spent = {**outcome.tokens, "generated_on": self.config.night} if outcome else {}
        if again:
            # What the model wrote stays, what is computed is of tonight.
            return {**self.kind.complete(dict(again), entity.figures), "as_of": self.config.as_of}
        if not entity.evidence.enough:
            return self._template(entity, "too_little_evidence")
        if outcome and not outcome.is_unserved:
            return self._answered(entity, outcome, spent)
        return self._template(entity, "unserved" if outcome else "over_budget", **spent)

    def published_again(self, entity: Entity, earlier: Row | None, outcome: Outcome | None) -> Row | None:
        """The newest published row where it serves once more: as good as new, or outdated with nothing new written."""
        if not entity.evidence.enough or (outcome and not outcome.is_unserved):
            return None
        serves = self.freshness.is_fresh(entity, earlier) or self.freshness.may_serve_on(earlier)
        return earlier if serves else None

    def rejects(
        self, entity: Entity, again: Row | None, outcome: Outcome | None, known: Iterable[Row]
    ) -> list[dict[str, Any]]:
        """The failed attempts at an entity: this run's, and of those `known` the ones behind a row published again."""
        key = again["generation_key"] if again else None
        carried = [] if outcome and key == entity.key else [dict(row) for row in known if row["generation_key"] == key]
        attempts = outcome.attempts if outcome else ()
        new = [self._reject(entity.entity_id, entity.key, attempt) for attempt in attempts if attempt["reason"]]
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

    def _answered(self, entity: Entity, outcome: Outcome, spent: Mapping[str, Any]) -> dict[str, Any]:
        if outcome.last["reason"]:
            return self._template(entity, "rejected", **spent)
        model = {"model": self.config.generator.model, "model_revision": self.revision}
        return self._row(entity, json.loads(outcome.last["profile"]), source="llm", **model, **spent)

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
