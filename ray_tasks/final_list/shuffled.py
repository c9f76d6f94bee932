"""A share of the lists in an order drawn by chance: what says how places matter, and what another ranker would earn.

Nothing can be told of orders that are never shown. In a drawn list every item is as likely at every place, so that its
propensity is one over the list's length; all other lists have their own order for sure.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Ints, numbers_within
from ray_tasks.interactions.user_blocks import Blocks
from ray_tasks.ranker.candidate_files import CandidateFiles
from ray_tasks.ranker.gate import ServingModel
from schemas.experiments import units

LAST = -np.inf
"""Score of an item that the other ranker has no candidate for: a pin."""


@dataclass(frozen=True)
class ShuffledBlocks:
    """Rows of `recommendations`, some of the lists in a drawn order.

    `shares` tells by arm how many; `challenger` is the ranker that does not serve tonight, if there is one: where it
    would put the items of a drawn list is noted in `challenger_rank`.
    """

    blocks: Blocks
    files: CandidateFiles
    challenger: ServingModel | None
    shares: Mapping[str, float]
    night: date

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.blocks.count

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        rows = self.blocks.table(number)
        chosen = drawn(rows, self.shares, self.night)
        if not chosen.any():
            return rows
        return in_drawn_order(rows, chosen, self.night, self._challenger_ranks(rows, chosen))

    def _challenger_ranks(self, rows: pa.Table, chosen: NDArray[np.bool_]) -> Ints | None:
        """(rows,): places among the items of each drawn list, from 1, by the challenger's scores."""
        if self.challenger is None:
            return None
        part = rows.filter(pa.array(chosen))
        lists = self.files.read("serving", np.unique(part["user_id"].to_numpy()))
        keys = zip(lists.user_ids[lists.user_of].tolist(), lists.table["item_id"].to_pylist(), strict=True)
        scores = dict(zip(keys, self.challenger.score(lists).tolist(), strict=True))
        shown = zip(part["user_id"].to_pylist(), part["item_id"].to_pylist(), strict=True)
        own = [scores.get(key, LAST) for key in shown]
        ranks = np.zeros(rows.num_rows, dtype=np.int64)
        ranks[chosen] = ranks_within(part["user_id"].to_numpy(), -np.array(own))
        return ranks


def with_shuffled(
    blocks: Blocks,
    files: CandidateFiles,
    challenger: ServingModel | None,
    shares: Mapping[str, float],
    night: date,
) -> Blocks:
    """The lists, some of them in a drawn order where any arm wants that."""
    return ShuffledBlocks(blocks, files, challenger, shares, night) if any(shares.values()) else blocks


def drawn(rows: pa.Table, shares: Mapping[str, float], night: date) -> NDArray[np.bool_]:
    """(rows,): whether the order of the row's list is drawn, by a hash of night and user."""
    users, first = np.unique(rows["user_id"].to_numpy(), return_index=True)
    arms = rows["arm"].take(pa.array(first)).to_pylist()
    chosen = units(f"shuffle:{night}", users.tolist()) < np.array([shares[arm] for arm in arms])
    return np.asarray(chosen[np.searchsorted(users, rows["user_id"].to_numpy())])


def in_drawn_order(
    rows: pa.Table, chosen: NDArray[np.bool_], night: date, challenger_ranks: Ints | None = None
) -> pa.Table:
    """The rows, by user and rank, with new ranks in the chosen lists; their propensity is one over the length."""
    users, rank = rows["user_id"].to_numpy(), np.asarray(rows["rank"]).astype(np.int64)
    lots = np.zeros(rows.num_rows)
    shown = zip(users[chosen], rows["item_id"].filter(pa.array(chosen)).to_pylist(), strict=True)
    lots[chosen] = [_lot(night, user_id, item_id) for user_id, item_id in shown]
    new_rank = np.where(chosen, ranks_within(users, np.where(chosen, lots, rank)), rank)
    _, number, length = np.unique(users, return_inverse=True, return_counts=True)
    columns = {
        "rank": pa.array(new_rank, pa.int32()),
        "propensity": pa.array(np.where(chosen, 1 / length[number], 1.0), pa.float64()),
    }
    if challenger_ranks is not None:
        columns["challenger_rank"] = pa.array(challenger_ranks, pa.int32(), mask=~chosen)
    for name, values in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
    return rows.sort_by([("user_id", "ascending"), ("rank", "ascending")])


def ranks_within(users: NDArray[np.object_], values: NDArray[np.float64]) -> Ints:
    """Places of rows within their users from 1, least value first, ties in the order of rows."""
    number = np.unique(users, return_inverse=True)[1]
    order = np.lexsort((np.arange(len(values)), values, number))
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = numbers_within(number[order])
    return ranks


def _lot(night: date, user_id: str, item_id: str) -> float:
    """A number in [0, 1) that decides an item's place in a drawn list."""
    digest = hashlib.sha256(f"shuffle:{night}:{user_id}\0{item_id}".encode()).digest()
    return float(int.from_bytes(digest[:6], "big") / 2**48)
