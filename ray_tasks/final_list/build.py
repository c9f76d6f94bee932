"""The served lists of a block of users: rules first, then the greedy choice, then what is pinned."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ray_tasks.final_list.catalogue import CatalogueFields
from ray_tasks.final_list.greedy import Cap, Pool, choose
from ray_tasks.final_list.hidden import Hidden, values_at
from ray_tasks.final_list.shown import demoted
from ray_tasks.interactions.rows import Floats, Ints, Rows, numbers_within
from ray_tasks.ranker.features import Lists
from ray_tasks.ranker.ranked_lists import best
from ray_tasks.retrieval.text_similarity import Vectors
from schemas.ranking_config import FinalList

HALF_LIFE = 20.0
"""Positions after which a history item counts half in a user's mix of tastes."""


@dataclass(frozen=True)
class FinalLists:
    """Settings, and what they refer to: the catalogue, the items' unit vectors, the users (sorted) and their histories.

    `shown` (users, items) counts the days on which an item was shown in vain. Without feedback, and with default
    settings, the lists are the ranker's.
    """

    settings: FinalList
    catalogue: CatalogueFields
    vectors: Vectors
    user_ids: NDArray[np.object_]
    histories: Rows
    hidden: Hidden
    shown: "csr_matrix[Any]"

    def places(self, lists: Lists, scores: Floats, k: int) -> tuple[Ints, Ints]:
        """Rows of each user's list and their ranks from 1; what a rule excludes or the user hid has no place."""
        allowed = scores
        if self.settings.exclude or not self.hidden.is_empty or self.shown.nnz:
            items = self._items(lists, np.arange(lists.table.num_rows))
            users = np.searchsorted(self.user_ids, lists.user_ids)[lists.user_of]
            allowed = np.where(self._excluded[items] | self.hidden.pairs(users, items), np.nan, scores)
            days = values_at(self.shown, users, items)
            allowed = demoted(lists, allowed, days, self.settings.patience, self.settings.demotion)
        rows, rank = best(lists, allowed, k) if self.settings.keeps_order else self._varied(lists, allowed, k)
        explore = min(self.settings.explore, k)
        return with_new_items(lists, allowed, rows, rank, k, explore) if explore else (rows, rank)

    def _varied(self, lists: Lists, scores: Floats, k: int) -> tuple[Ints, Ints]:
        rows, _ = best(lists, scores, max(k, self.settings.pool))
        numbers, users = lists.user_of[rows], np.searchsorted(self.user_ids, lists.user_ids)
        parts = np.split(rows, np.flatnonzero(np.diff(numbers)) + 1) if len(rows) else []
        of_whom = users[numbers[np.flatnonzero(np.diff(numbers, prepend=-1))]]
        found = [self._chosen(lists, scores, own, int(user), k) for own, user in zip(parts, of_whom, strict=True)]
        none = np.zeros(0, dtype=np.int64)
        return np.concatenate([none, *found]), np.concatenate([none, *(np.arange(1, len(own) + 1) for own in found)])

    def pinned(self, table: pa.Table, k: int) -> pa.Table:
        """Rows of `recommendations` with the pinned items in their places, for users who neither took nor hid them.

        A pinned item takes the score of the one whose place it takes, or of the last; its probability is unknown.
        """
        if not self.settings.pin or not table.num_rows:
            return table
        rows, result = table.to_pylist(), []
        starts = [at for at, row in enumerate(rows) if not at or row["user_id"] != rows[at - 1]["user_id"]]
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            result += self._with_pins(rows[start:end], k)
        return pa.Table.from_pylist(result, schema=table.schema)

    def _with_pins(self, rows: list[dict[str, Any]], k: int) -> list[dict[str, Any]]:
        user = int(np.searchsorted(self.user_ids, rows[0]["user_id"]))
        known = np.concatenate([self.histories[user], self.hidden.of(user)])
        unwanted = set(self.catalogue.item_ids[known])
        pins = [pin for pin in sorted(self.settings.pin, key=lambda pin: pin.place) if pin.item_id not in unwanted]
        kept = [row for row in rows if row["item_id"] not in {pin.item_id for pin in pins}]
        for pin in pins:
            near = kept[min(pin.place, len(kept)) - 1] if kept else rows[0]
            kept.insert(pin.place - 1, {**near, "item_id": pin.item_id, "probability": None, "sources": ["pin"]})
        return [{**row, "rank": place, "ranker_rank": place} for place, row in enumerate(kept[:k], 1)]

    @cached_property
    def _excluded(self) -> NDArray[np.bool_]:
        return self.catalogue.matching(self.settings.exclude)

    @cached_property
    def _mixes(self) -> Any:
        has = self.catalogue.matrix("categories")
        return has.multiply(1 / np.maximum(has.sum(axis=1), 1)).tocsr()

    @cached_property
    def _capped(self) -> list[tuple[Any, int]]:
        return [(self.catalogue.matrix(cap.field), cap.most) for cap in self.settings.caps]

    def _items(self, lists: Lists, rows: Ints) -> Ints:
        ids = lists.table["item_id"].take(pa.array(rows)).to_numpy()
        return np.searchsorted(self.catalogue.item_ids, ids)

    def _chosen(self, lists: Lists, scores: Floats, rows: Ints, user: int, k: int) -> Ints:
        items = self._items(lists, rows)
        weights = self.histories.take(np.array([user])).weighted(len(self.catalogue.item_ids), HALF_LIFE)
        taste = np.asarray((weights @ self._mixes).todense(), dtype=np.float64).ravel()
        pool = Pool(
            scores[rows],
            self.vectors[items].astype(np.float64),
            self._mixes[items].toarray().astype(np.float64),
            taste / taste.sum() if taste.any() else taste,
            tuple(Cap(has[items].toarray().astype(np.float64), most) for has, most in self._capped),
        )
        return rows[choose(pool, k, self.settings.diversity, self.settings.calibration)]


def with_new_items(lists: Lists, scores: Floats, rows: Ints, rank: Ints, k: int, explore: int) -> tuple[Ints, Ints]:
    """The lists with their last places, up to `explore`, given to the candidates that `new_items` ranks best.

    What the list holds already keeps its place and needs no other; a user without new items keeps the whole list.
    """
    own_rank = np.where(np.isnan(scores), np.nan, lists.column("new_items_rank"))
    order, user = best(lists, -own_rank, explore)[0], lists.user_of
    is_held = np.zeros(lists.table.num_rows, dtype=bool)
    is_held[rows[rank <= k - explore]] = True
    added = order[~is_held[order]]
    rest = rows[~np.isin(rows, added)]
    kept = rest[numbers_within(user[rest]) <= (k - np.bincount(user[added], minlength=len(lists)))[user[rest]]]
    together = np.concatenate([kept, added])
    together = together[np.argsort(user[together], kind="stable")]
    return together, numbers_within(user[together])
