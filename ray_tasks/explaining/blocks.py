"""Rows of `explanations` and `taste_summaries`, one block of users at a time."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_tasks.explaining.asking import Author, Phrased
from ray_tasks.explaining.drafts import LIKES_READ, Draft, Explainer, likes_of
from ray_tasks.explaining.statements import Item, text_of
from ray_tasks.explaining.tastes import taste_summaries
from schemas.lake import Snapshot, of_ids
from schemas.ranking_config import Explanations
from schemas.tables.explanations import EXPLANATIONS


@dataclass(frozen=True)
class Texts:
    """What the language model has phrased, by generation key, and who it is. No author: templates alone."""

    author: Author | None
    phrased: Mapping[str, Phrased]

    @property
    def digest(self) -> str:
        """SHA-256 of all texts."""
        told = sorted((key, one.text or "") for key, one in self.phrased.items())
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def rows(self, drafts: Sequence[Draft], settings: Mapping[str, Explanations]) -> pa.Table:
        """Rows of `explanations` for drafts, by the settings of their arms."""
        found = [self._row(draft, settings[draft.row["arm"]]) for draft in drafts]
        return pa.Table.from_pylist(found, schema=EXPLANATIONS.schema)

    def _row(self, draft: Draft, settings: Explanations) -> dict[str, Any]:
        evidence = zip(draft.cited, draft.amounts, strict=True)
        return {
            **{name: draft.row[name] for name in ("user_id", "rank", "item_id", "arm")},
            "text": text_of(draft.statements),
            "statements": [one.row() for one in draft.statements],
            "evidence": [{"item_id": item_id, "contribution": amount} for item_id, amount in evidence],
            "cited_sources": list(draft.cited_sources),
            "source": "template",
            "reason": None,
            "generation_key": None,
            "model": None,
            "model_revision": None,
            "prompt_version": None,
            "generated_on": None,
            "prompt_tokens": 0,
            "output_tokens": 0,
            **self._origin(draft, settings),
        }

    def _origin(self, draft: Draft, settings: Explanations) -> dict[str, Any]:
        """What differs where the model was, or could have been, asked."""
        if settings.style == "template" or draft.row["rank"] > settings.places:
            return {"reason": "style" if settings.style == "template" else "later_place"}
        entity = self.author.entity(draft) if self.author else None
        if entity and not entity.evidence.enough:
            return {"reason": "too_little_evidence"}
        found = self.phrased.get(entity.key) if entity else None
        if found is None or entity is None or self.author is None:
            return {"reason": "over_budget"}
        config = self.author.config
        told = {
            "generation_key": entity.key,
            "prompt_version": config.explanation_prompt,
            "generated_on": found.generated_on,
            "prompt_tokens": found.prompt_tokens,
            "output_tokens": found.output_tokens,
        }
        if found.text is None:
            return {**told, "reason": found.reason}
        model = {"model": config.model, "model_revision": self.author.revision}
        return {**told, **model, "source": "llm", "text": found.text}


@dataclass(frozen=True)
class ExplainedBlocks:
    """The served users in blocks: rows of `explanations` for what is recommended to them."""

    explainer: Explainer
    texts: Texts
    recommended: Snapshot
    profiles: Snapshot
    size: int

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.ceil(len(self.explainer.view.user_ids) / self.size)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        mine = _of_block(self.explainer.view.user_ids, number, self.size)
        likes = likes_of(self.profiles.dataset().to_table(LIKES_READ, mine))
        drafts = self.explainer.drafts(self.recommended.dataset().to_table(filter=mine), likes)
        return self.texts.rows(drafts, self.explainer.settings)


@dataclass(frozen=True)
class TasteBlocks:
    """The served users in blocks: rows of `taste_summaries` for those who have a profile."""

    user_ids: NDArray[np.object_]
    profiles: Snapshot
    items: Mapping[str, Item]
    size: int

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.ceil(len(self.user_ids) / self.size)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        mine = _of_block(self.user_ids, number, self.size)
        return taste_summaries(self.profiles.dataset().to_table(filter=mine).sort_by("user_id"), self.items)


def _of_block(user_ids: NDArray[np.object_], number: int, size: int) -> pc.Expression:
    return of_ids("user_id", user_ids[number * size :][:size])
