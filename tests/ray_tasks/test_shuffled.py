"""Lists in a drawn order: others every night, every item as likely at every place, the same whenever they are made."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.final_list.shuffled import ShuffledBlocks, drawn, in_drawn_order, ranks_within, with_shuffled
from schemas.tables.recommendations import RECOMMENDATIONS

NIGHT = date(2026, 11, 22)


def lists(users: int, length: int = 5, arm: str = "default", prefix: str = "u") -> pa.Table:
    """Rows of `recommendations`: item i0 first in every list, and so on."""
    rows = [
        {
            "user_id": f"{prefix}{user:04d}",
            "rank": rank,
            "item_id": f"i{rank}",
            "score": -float(rank),
            "arm": arm,
            "sources": ["ease"],
            "ranker_rank": rank,
            "propensity": 1.0,
        }
        for user in range(users)
        for rank in range(1, length + 1)
    ]
    return pa.Table.from_pylist(rows, schema=RECOMMENDATIONS.schema)


class Fixed:
    """Blocks of one table."""

    count = 1

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    def table(self, number: int) -> pa.Table:
        return self.rows


def shuffled(rows: pa.Table, share: float, night: date = NIGHT) -> pa.Table:
    return ShuffledBlocks(Fixed(rows), None, None, {"default": share}, night).table(0)


@given(st.integers(1, 30), st.integers(1, 8), st.floats(0, 1))
def test_lists_keep_their_items_and_say_how_likely_each_place_was(users, length, share):
    before, after = lists(users, length), shuffled(lists(users, length), share)
    assert after.schema.equals(RECOMMENDATIONS.schema)
    pairs = {(row["user_id"], row["item_id"]): row["rank"] for row in before.to_pylist()}
    assert {(row["user_id"], row["item_id"]): row["ranker_rank"] for row in after.to_pylist()} == pairs
    ranks = Counter((row["user_id"], row["rank"]) for row in after.to_pylist())
    assert ranks == Counter((row["user_id"], row["rank"]) for row in before.to_pylist())
    order = [(row["user_id"], row["rank"]) for row in after.to_pylist()]
    assert order == sorted(order)
    chosen = {row["user_id"] for row in after.to_pylist() if row["propensity"] < 1}
    for row in after.to_pylist():
        assert row["propensity"] == (1 / length if row["user_id"] in chosen else 1)
        assert row["user_id"] in chosen or row["rank"] == row["ranker_rank"]


def test_the_share_is_kept_and_other_lists_are_drawn_every_night():
    nights = [
        set(np.unique(lists(2_000)["user_id"].filter(pa.array(drawn(lists(2_000), {"default": 0.1}, night)))))
        for night in (NIGHT, NIGHT, NIGHT + timedelta(days=1))
    ]
    assert nights[0] == nights[1]
    assert abs(len(nights[0]) - 200) < 60
    assert len(nights[0] & nights[2]) < 60


def test_every_item_is_as_likely_at_every_place():
    after = shuffled(lists(4_000), 1.0)
    counts = Counter((row["item_id"], row["rank"]) for row in after.to_pylist())
    assert len(counts) == 25
    assert max(counts.values()) < 800 + 5 * 800**0.5
    assert min(counts.values()) > 800 - 5 * 800**0.5


def test_arms_draw_their_own_shares_and_without_any_the_lists_are_left_alone():
    rows = pa.concat_tables([lists(50), lists(50, arm="a/random", prefix="v")])
    chosen = drawn(rows, {"default": 0.0, "a/random": 1.0}, NIGHT)
    assert {user_id[0] for user_id in rows["user_id"].filter(pa.array(chosen)).to_pylist()} == {"v"}
    assert chosen.sum() == 250
    blocks = Fixed(lists(3))
    assert with_shuffled(blocks, None, None, {"default": 0.0}, NIGHT) is blocks


def test_the_challengers_places_are_noted_in_drawn_lists_alone():
    rows = lists(2, 3)
    chosen = np.array([True] * 3 + [False] * 3)
    ranks = np.array([3, 1, 2, 0, 0, 0])
    after = in_drawn_order(rows, chosen, NIGHT, ranks).to_pylist()
    assert {row["item_id"]: row["challenger_rank"] for row in after if row["user_id"] == "u0000"} == {
        "i1": 3,
        "i2": 1,
        "i3": 2,
    }
    assert {row["challenger_rank"] for row in after if row["user_id"] == "u0001"} == {None}


def test_places_within_users_are_by_value_then_by_row():
    users = np.array(["a", "b", "a", "a"], dtype=object)
    assert ranks_within(users, np.array([2.0, 5.0, 1.0, 2.0])).tolist() == [2, 1, 1, 3]
