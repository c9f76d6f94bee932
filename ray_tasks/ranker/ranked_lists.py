"""From scored candidates to lists: the best k per user in a total order, as rows of the published tables."""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Floats, Ints, numbers_within
from ray_tasks.ranker.features import Lists, floors
from schemas.candidates_config import SOURCES
from schemas.tables.offline_rankings import OFFLINE_RANKINGS
from schemas.tables.recommendations import RECOMMENDATIONS


def best(lists: Lists, scores: Floats, k: int) -> tuple[Ints, Ints]:
    """Rows of each user's k best candidates and their ranks from 1, by user and rank.

    Score descending, ties by item_id; a row with score NaN is left out.
    """
    user = lists.user_of
    rows = np.flatnonzero(scores >= floors(lists, scores, k)[user])  # few are left to be sorted
    order = rows[np.lexsort((rows, -scores[rows], user[rows]))]
    rank = numbers_within(user[order])
    return order[rank <= k], rank[rank <= k]


Places = Callable[[Lists, Floats, int], tuple[Ints, Ints]]
"""Candidates, scores and k to rows of the lists and their ranks from 1, as `best`."""


def positions(lists: Lists, scores: Floats, k: int, item_ids: NDArray[np.object_], places: Places = best) -> Ints:
    """The lists as (users, k) catalogue positions, -1 where a list is shorter: what the metrics take."""
    rows, rank = places(lists, scores, k)
    ranked = np.full((len(lists), k), -1, dtype=np.int64)
    items = lists.table["item_id"].take(pa.array(rows)).to_numpy()
    ranked[lists.user_of[rows], rank - 1] = np.searchsorted(item_ids, items)
    return ranked


def source_scores(lists: Lists, source: str) -> Floats:
    """A source's own order, best highest: minus its rank. Users for whom it proposes nothing get popularity's."""
    own = -lists.column(f"{source}_rank")
    proposes = np.zeros(len(lists), dtype=bool)
    proposes[lists.user_of[~np.isnan(own)]] = True
    return np.where(proposes[lists.user_of], own, -lists.column("popularity_rank"))


Strengths = Callable[[Lists, Ints], Floats]
"""Candidates and some of their rows to (rows, SOURCES): how much each source is why; NaN where it is not."""


def by_rank(lists: Lists, rows: Ints) -> Floats:
    """Strengths by which the source that ranks an item best is why."""
    return -np.column_stack([lists.column(f"{source}_rank")[rows] for source in SOURCES])


def recommendations(
    lists: Lists,
    scores: Floats,
    k: int,
    arm: str,
    places: Places = best,
    chances: Floats | None = None,
    strengths: Strengths = by_rank,
) -> pa.Table:
    """Rows of `recommendations`; `chances` are the candidates' probabilities, NaN or None where they are not known."""
    rows, rank = places(lists, scores, k)
    chosen = lists.table.take(pa.array(rows))
    columns = {
        "user_id": chosen["user_id"],
        "rank": pa.array(rank, pa.int32()),
        "item_id": chosen["item_id"],
        "score": pa.array(scores[rows], pa.float64()),
        "probability": _known(chances, rows),
        "arm": pa.repeat(arm, len(rows)),
        "sources": pa.array(_sources(strengths(lists, rows)), pa.list_(pa.string())),
        "ranker_rank": pa.array(rank, pa.int32()),
        "propensity": pa.repeat(1.0, len(rows)),
        "challenger_rank": pa.nulls(len(rows), pa.int32()),
    }
    return pa.table([columns[name] for name in RECOMMENDATIONS.schema.names], schema=RECOMMENDATIONS.schema)


def _known(values: Floats | None, rows: Ints) -> pa.Array:
    """Values of rows; NaN is null."""
    return pa.nulls(len(rows), pa.float64()) if values is None else pa.array(values[rows], from_pandas=True)


def _sources(strengths: Floats) -> list[list[str]]:
    """Sources that proposed each row, the strongest first, ties in the order of SOURCES."""
    order = np.argsort(-strengths, axis=1, kind="stable")
    return [[SOURCES[i] for i in own if not np.isnan(row[i])] for own, row in zip(order, strengths, strict=True)]


def offline_rankings(lists: Lists, models: Mapping[str, Floats], k: int) -> pa.Table:
    """Rows of `offline_rankings`: each model's k best per user, from its scores of the candidates."""
    tables = [OFFLINE_RANKINGS.schema.empty_table()]
    for model, scores in models.items():
        rows, rank = best(lists, scores, k)
        chosen = lists.table.take(pa.array(rows))
        tables.append(ranking_rows(model, chosen["user_id"], rank, chosen["item_id"]))
    return pa.concat_tables(tables)


def ranking_rows(model: str, user_ids: pa.ChunkedArray, rank: Ints, item_ids: pa.ChunkedArray) -> pa.Table:
    """One model's rows of `offline_rankings`."""
    columns = [pa.repeat(model, len(rank)), user_ids, pa.array(rank, pa.int32()), item_ids]
    return pa.table(columns, schema=OFFLINE_RANKINGS.schema)
