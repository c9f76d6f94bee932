"""Candidate lists made by hand: what the tests of features, ranker and published lists are made of."""

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from small_log import item_id, user_id

from ray_tasks.interactions.rows import Rows
from ray_tasks.ranker.features import Lists
from schemas.candidates_config import SOURCES
from schemas.tables.candidates import CANDIDATES

COUNTS = ("item_count", "item_recent_count", "item_week_count", "item_quarter_count", "item_year_count", "user_count")


def candidate(user: int, item: int, ranks: dict[str, int], **others) -> dict:
    """A row of `candidates`; a source's score falls with its rank."""
    row = dict.fromkeys(CANDIDATES.schema.names)
    row |= {"window": "validation", "user_id": user_id(user), "item_id": item_id(item), "label": 0}
    row |= dict.fromkeys(COUNTS, 1)
    for source, rank in ranks.items():
        row |= {f"{source}_rank": rank, f"{source}_score": 1 / rank}
    return row | others


def lists_of(rows: list[dict]) -> Lists:
    """Lists of rows in any order."""
    return Lists.of(pa.Table.from_pylist(rows, schema=CANDIDATES.schema))


@st.composite
def lists_and_scores(draw, least_users: int = 0):
    """Random lists, each candidate proposed by a source or more, with scores that often tie and may be NaN."""
    rows = []
    for user in range(draw(st.integers(least_users, 4))):
        items = draw(st.lists(st.integers(0, 11), min_size=1, max_size=9, unique=True))
        proposals = {source: draw(st.permutations(items)) for source in SOURCES}
        depth = {source: draw(st.integers(0, len(items))) for source in SOURCES}
        depth[draw(st.sampled_from(SOURCES))] = len(items)
        for item in items:
            ranks = {s: proposals[s].index(item) + 1 for s in SOURCES if proposals[s].index(item) < depth[s]}
            rows.append(candidate(user, item, ranks, user_count=draw(st.integers(0, 2))))
    lists = lists_of(draw(st.permutations(rows)))
    values = st.sampled_from([np.nan, -1.0, 0.0, 0.5, 2.0])
    scores = draw(st.lists(values, min_size=len(rows), max_size=len(rows)))
    return lists, np.array(scores, dtype=np.float64)


def shop(n_users: int, place_of_target, week_count=lambda user, item, taken: 1, n_items: int = 10):
    """Lists of `n_users` who each took one candidate, which `place_of_target(source)` ranks at that place.

    Without a place it is drawn as well; other candidates take the other places in a drawn order. Returns lists and
    targets.
    """
    chance, rows, targets = np.random.default_rng(5), [], []
    for user in range(n_users):
        target = int(chance.integers(n_items))
        targets.append(target)
        ranks = {}
        for source in SOURCES:
            order = [item for item in chance.permutation(n_items).tolist() if item != target]
            order.insert((place_of_target(source) or int(chance.integers(1, n_items + 1))) - 1, target)
            ranks[source] = {item: place for place, item in enumerate(order, 1)}
        for item in range(n_items):
            own = {source: ranks[source][item] for source in SOURCES}
            counts = {"item_week_count": week_count(user, item, item == target)}
            rows.append(candidate(user, item, own, label=int(item == target), **counts))
    return lists_of(rows), Rows.of(np.arange(n_users), np.array(targets), n_users)
