"""Drafts of explanations: what can be said for each recommendation of some users, before anybody phrases it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from ray_tasks.explaining.evidence import Evidence, Told, evidence, in_order
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
    `cited_sources`: the sources that its statements speak for, what is said to have put it there first.
    """

    row: Mapping[str, Any]
    item: Item
    cited: Mapping[str, Item]
    amounts: tuple[float, ...]
    statements: tuple[Statement, ...]
    cited_sources: tuple[str, ...]


@dataclass(frozen=True)
class Explainer:
    """The night's fitted sources and what is known of its items; drafts explanations, each arm's by its settings.

    `told` is by user and item what an earlier night's text cites: it stays while it is nearly the strongest.
    """

    view: Window
    sources: Mapping[str, ItemBasedSource]
    items: Mapping[str, Item]
    usual: Usual
    recent_counts: Ints
    popularity: Popularity
    settings: Mapping[str, Explanations]
    told: Mapping[tuple[str, str], Told] = field(default_factory=dict)

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
        ids = self.view.log.item_ids
        items = np.searchsorted(ids, np.array([row["item_id"] for row in rows], dtype=object))
        settings = self.settings[rows[0]["arm"]]
        told = [self.told.get((user_id, row["item_id"]), Told()) for row in rows]
        proposed_by = [in_order(row["sources"], one) for row, one in zip(rows, told, strict=True)]
        own_places = dict(zip(ids[history].tolist(), history.tolist(), strict=True))
        before = [[own_places.get(item_id, -1) for item_id in one.item_ids] for one in told]
        found = evidence(history, items, proposed_by, sources, settings.max_evidence, before)
        own, is_new = likes.get(user_id, {}), not len(history)
        return [
            self._draft(row, names, int(item), because, own, is_new, settings.max_statements)
            for row, names, item, because in zip(rows, proposed_by, items, found, strict=True)
        ]

    def _draft(
        self,
        row: dict[str, Any],
        proposed_by: Sequence[str],
        place: int,
        because: Evidence,
        likes: Mapping[str, Like],
        is_new: bool,
        most: int,
    ) -> Draft:
        ids, item = self.view.log.item_ids, self.items[row["item_id"]]
        cited = {str(ids[at]): self.items[ids[at]] for at, _ in because}
        count = int(self.recent_counts[place])
        said = statements(proposed_by, item, cited, likes, self.usual, count, self.popularity, is_new)
        by = tuple(one.source for one in reversed(said) if one.source)
        return Draft(row, item, cited, tuple(amount for _, amount in because), tuple(said[:most]), by)


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
