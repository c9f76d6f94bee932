"""Drafts of explanations: what can be said for each recommendation of some users, before anybody phrases it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ray_tasks.explaining.evidence import Evidence, evidence
from ray_tasks.explaining.statements import Item, Like, Statement, Usual, statements
from ray_tasks.explaining.tastes import TOO_LITTLE
from ray_tasks.explaining.wording import Popularity
from ray_tasks.interactions.rows import Ints
from ray_tasks.interactions.windows import Window
from ray_tasks.retrieval.source import ItemBasedSource
from schemas.ranking_config import Explanations

Likes = Mapping[str, Mapping[str, Like]]
"""By user, what the user's profile says that the user likes, by theme."""
LIKES_READ = ["user_id", "likes", "reason"]


@dataclass(frozen=True)
class Draft:
    """A row of `recommendations` with what can be said for it.

    `cited`: history items that speak for it, strongest first; `amounts`: what each adds to its source's score.
    """

    row: Mapping[str, Any]
    item: Item
    cited: Mapping[str, Item]
    amounts: tuple[float, ...]
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Explainer:
    """The night's fitted sources and what is known of its items; drafts explanations, each arm's by its settings."""

    view: Window
    sources: Mapping[str, ItemBasedSource]
    items: Mapping[str, Item]
    usual: Usual
    recent_counts: Ints
    popularity: Popularity
    settings: Mapping[str, Explanations]

    def drafts(self, recommended: pa.Table, likes: Likes) -> list[Draft]:
        """For rows of `recommendations`, by user and rank."""
        sources = dict(self.sources)  # they may lie elsewhere: fetched once for all of these users
        ordered = recommended.sort_by([("user_id", "ascending"), ("rank", "ascending")])
        users = ordered["user_id"].to_numpy()
        starts = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]])) if len(users) else np.zeros(0, int)
        lengths = np.diff(starts, append=len(users))
        return [
            draft
            for start, length in zip(starts, lengths, strict=True)
            for draft in self._of_user(str(users[start]), ordered.slice(start, length).to_pylist(), likes, sources)
        ]

    def _of_user(
        self, user_id: str, rows: Sequence[dict[str, Any]], likes: Likes, sources: Mapping[str, ItemBasedSource]
    ) -> list[Draft]:
        history = self.view.history[int(np.searchsorted(self.view.user_ids, user_id))]
        items = np.searchsorted(self.view.log.item_ids, np.array([row["item_id"] for row in rows], dtype=object))
        settings = self.settings[rows[0]["arm"]]
        found = evidence(history, items, [row["sources"] for row in rows], sources, settings.max_evidence)
        own, is_new = likes.get(user_id, {}), not len(history)
        return [
            self._draft(row, int(item), because, own, is_new, settings.max_statements)
            for row, item, because in zip(rows, items, found, strict=True)
        ]

    def _draft(
        self, row: dict[str, Any], place: int, because: Evidence, likes: Mapping[str, Like], is_new: bool, most: int
    ) -> Draft:
        ids, item = self.view.log.item_ids, self.items[row["item_id"]]
        cited = {str(ids[at]): self.items[ids[at]] for at, _ in because}
        count = int(self.recent_counts[place])
        said = statements(row["sources"], item, cited, likes, self.usual, count, self.popularity, is_new)
        return Draft(row, item, cited, tuple(amount for _, amount in because), tuple(said[:most]))


def likes_of(profiles: pa.Table) -> dict[str, dict[str, Like]]:
    """From rows of `user_profiles`; nothing of users whose one or two choices are no taste yet."""
    return {
        row["user_id"]: {
            claim["label"]: Like(claim["strength"], tuple(claim["interactions"])) for claim in row["likes"]
        }
        for row in profiles.select(LIKES_READ).to_pylist()
        if row["reason"] != TOO_LITTLE
    }


def items_of(documents: pa.Table, profiles: pa.Table) -> dict[str, Item]:
    """Items by id, from `item_documents` and `item_profiles`."""
    profiled = {row["item_id"]: row for row in profiles.select(["item_id", "themes", "aspects"]).to_pylist()}
    return {
        row["item_id"]: Item(
            row["title"],
            tuple(row["categories"] or ()),
            tuple(profiled.get(row["item_id"], {}).get("themes", ())),
            tuple(
                (one["aspect"], one["n_positive"], one["n_reviews"])
                for one in profiled.get(row["item_id"], {}).get("aspects", ())
            ),
        )
        for row in documents.select(["item_id", "title", "categories"]).to_pylist()
    }
