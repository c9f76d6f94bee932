"""Nightrec itself inside the benchmark: the night's own sources, ranker and blocks, on a window of the data set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from ray_tasks.final_list.build import with_new_items
from ray_tasks.interactions.rows import Floats, Ints, Rows
from ray_tasks.interactions.user_blocks import write_blocks
from ray_tasks.interactions.windows import Window
from ray_tasks.ranker.features import Lists, fusion
from ray_tasks.ranker.gate import ServingModel, fit
from ray_tasks.ranker.ranked_lists import best, positions, source_scores
from ray_tasks.ray_session import one_core_task
from ray_tasks.retrieval.candidate_blocks import Catalogue, Users, proposals
from ray_tasks.retrieval.popularity import RecentPopularity
from ray_tasks.retrieval.scored_blocks import ScoredBlocks
from ray_tasks.retrieval.source import CandidateSource
from ray_tasks.retrieval.tuning import tuning_users
from schemas.candidates_config import Candidates
from schemas.ranking_config import Ranking

K = 20
"""Places of a list: as many as the longest metric (Recall@20) looks at."""
RANKED = pa.schema(
    [
        ("model", pa.string()),
        ("user", pa.int64()),
        ("items", pa.list_(pa.int64())),
        ("probabilities", pa.list_(pa.float64())),
    ]
)


def restrict(view: Window, catalogue: Catalogue | None) -> Window:
    """The window with targets inside the catalogue only; users without one are left out."""
    assert view.targets is not None
    if catalogue is None:
        return view
    kept = catalogue[view.targets.items]
    targets = Rows.of(view.targets.row_of[kept], view.targets.items[kept], len(view.targets))
    users = np.flatnonzero(targets.lengths)
    return replace(view, user_ids=view.user_ids[users], history=view.history.take(users), targets=targets.take(users))


def rank_alone(source: CandidateSource, view: Window, settings: Candidates, catalogue: Catalogue | None) -> Ints:
    """(users, K) item positions by one source over the catalogue, seen items removed; -1 for empty places."""
    users, size = Users.of(view), settings.block_size
    blocks = [users.part(start, size) for start in range(0, len(users), size)]
    found = [proposals(source.score(block.history), block.history, K, catalogue) for block in blocks]
    return np.concatenate([np.zeros((0, K), dtype=np.int64), *found])


def filled(ranked: Ints, popular: Ints) -> Ints:
    """Empty places filled from the list of popularity, in its order, without what is already there.

    A method is not to be blamed for the users whom it cannot serve: every night serves them something.
    """
    if not (ranked < 0).any():
        return ranked
    result = ranked.copy()
    for row in np.flatnonzero((ranked < 0).any(axis=1)):
        own = ranked[row][ranked[row] >= 0]
        more = popular[row][(popular[row] >= 0) & ~np.isin(popular[row], own)]
        both = np.concatenate([own, more])[: ranked.shape[1]]
        result[row, : len(both)] = both
    return result


@dataclass(frozen=True)
class Blend:
    """A variant of the blend: the sources that it may know, and the ranker that learnt from them alone.

    `unseen` are the lists of the users it learnt from, (users, K), each by trees that have not seen the user.
    """

    sources: tuple[str, ...]
    model: ServingModel
    unseen: Ints


def only(lists: Lists, sources: tuple[str, ...]) -> Lists:
    """The lists as if no other source had been there: neither its scores nor the candidates that it alone proposed."""
    table = lists.table
    others = [name for name in lists.sources if name not in sources]
    if not others:
        return lists
    ranks = [pa.compute.is_valid(table[f"{name}_rank"]) for name in sources]
    table = table.filter(reduce(pa.compute.or_, ranks))
    for name in (f"{source}_{kind}" for source in others for kind in ("score", "rank")):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.nulls(len(table), table.schema.field(at).type))
    return Lists.of(table)


def learn_blends(
    folder: Path,
    view: Window,
    variants: Mapping[str, tuple[str, ...]],
    settings: Ranking,
    names: tuple[str, ...],
    seed: int,
) -> dict[str, Blend]:
    """A blend for each variant's sources, inside a Ray session; the candidates lie in `folder`.

    One after the other: each grows its boosters side by side on all cores, and two would hold the candidates and their
    features twice. A worker reads them itself: sent through the object store, they would be held there and by the
    sender as well; and it ends with its variant, so that what it took is given back.
    """
    import ray

    task, seen = one_core_task(learn_blend, ends_worker=True), ray.put(view)
    return {
        name: ray.get(task.remote(folder, seen, sources, settings, names, seed)) for name, sources in variants.items()
    }


def learn_blend(
    folder: Path, view: Window, sources: tuple[str, ...], settings: Ranking, names: tuple[str, ...], seed: int
) -> Blend:
    """Train a ranker on what some sources say of the validation users' candidates."""
    assert view.targets is not None
    known = only(Lists.of(ds.dataset(str(folder)).to_table()), sources)
    rows = np.searchsorted(view.user_ids, known.user_ids)
    learnt = fit(known, view.targets.take(rows), view.log.item_ids, settings, seed, names)
    unseen = np.full((len(view.user_ids), K), -1, dtype=np.int64)
    unseen[rows] = positions(known, learnt.unseen, K, view.log.item_ids)
    return Blend(sources, learnt.model, unseen)


@dataclass(frozen=True)
class RankedBlocks:
    """Test users block by block: rows of RANKED, by every source alone, by every blend, and by what serves of it.

    The first blend is the whole one: untrained `fusion` and `explore`, the list whose last `explore` places go to new
    items as in a night, are of its candidates.
    """

    scored: ScoredBlocks
    blends: Mapping[str, Blend]
    explore: int

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.scored.count

    def table(self, number: int) -> pa.Table:
        """One block's rows; a user is the position among the window's users."""
        lists = Lists.of(self.scored.table(number))
        ids = self.scored.scorer.item_ids
        user = np.searchsorted(self.scored.users.user_ids, lists.user_ids)
        found = {name: positions(lists, source_scores(lists, name), K, ids) for name in self.scored.scorer.sources}
        found["fusion"] = positions(lists, fusion(lists), K, ids)
        tables = []
        for name, blend in self.blends.items():
            own = only(lists, blend.sources)
            scores = blend.model.ranker.score(own)
            ranked = positions(own, scores, K, ids)
            tables.append(_rows(name, user, ranked, _at(own, ranked, blend.model.probability(scores), ids)))
            if "explore" not in found:
                found["explore"] = positions(own, scores, K, ids, self._explored)
        tables += [_rows(name, user, ranked, np.full(ranked.shape, np.nan)) for name, ranked in found.items()]
        return pa.concat_tables(tables)

    def _explored(self, lists: Lists, scores: Floats, k: int) -> tuple[Ints, Ints]:
        return with_new_items(lists, scores, *best(lists, scores, k), k, self.explore)


def _rows(name: str, user: Ints, ranked: Ints, chances: Floats) -> pa.Table:
    columns = [pa.repeat(name, len(user)), pa.array(user), pa.array(ranked.tolist()), pa.array(chances.tolist())]
    return pa.table([c.cast(f.type) for c, f in zip(columns, RANKED, strict=True)], schema=RANKED)


def _at(lists: Lists, ranked: Ints, values: Floats, ids: NDArray[np.object_]) -> Floats:
    """The rows' values in the order of the lists (users, K); NaN for empty places."""
    item = np.searchsorted(ids, lists.table["item_id"].to_numpy())
    key = lists.user_of * len(ids) + item
    wanted = np.arange(len(ranked))[:, None] * len(ids) + ranked
    place = np.clip(np.searchsorted(key, wanted), 0, max(len(key) - 1, 0))
    return np.where(ranked >= 0, values[place] if len(values) else np.nan, np.nan)


def rank_all(blocks: RankedBlocks, folder: Path) -> tuple[dict[str, Ints], Floats]:
    """Lists of all users by every model, (users, K) each, and the whole blend's probabilities of its own lists."""
    write_blocks(blocks, str(folder))
    table, n_users = ds.dataset(str(folder)).to_table(), len(blocks.scored.users)
    lists, chances = {}, np.full((n_users, K), np.nan)
    for name in pa.compute.unique(table["model"]).to_pylist():
        rows = table.filter(pa.compute.equal(table["model"], name))
        lists[name] = np.full((n_users, K), -1, dtype=np.int64)
        lists[name][rows["user"].to_numpy()] = _matrix(rows["items"])
        if name == next(iter(blocks.blends)):
            chances[rows["user"].to_numpy()] = _matrix(rows["probabilities"])
    return lists, chances


def _matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    return np.asarray(column.combine_chunks().flatten()).reshape(-1, K)


def popular_lists(view: Window, popularity: RecentPopularity, catalogue: Catalogue | None) -> Ints:
    """Popularity's lists, deep enough to fill any other."""
    users = Users.of(view)
    return proposals(popularity.score(users.history), users.history, 2 * K, catalogue)


def learners(view: Window, most: int, seed: int) -> Window:
    """The users that the ranker learns from: a seeded sample of those with a history."""
    return tuning_users(view, most, seed, "ranker")
