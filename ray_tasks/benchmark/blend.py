"""Nightrec itself inside the benchmark: the night's own sources, ranker and blocks, on a window of the data set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Floats, Ints, Rows
from ray_tasks.interactions.user_blocks import write_blocks
from ray_tasks.interactions.windows import Window
from ray_tasks.ranker.features import Lists, fusion
from ray_tasks.ranker.gate import ServingModel, learn
from ray_tasks.ranker.ranked_lists import positions
from ray_tasks.retrieval.candidate_blocks import Catalogue, Users, proposals
from ray_tasks.retrieval.popularity import RecentPopularity
from ray_tasks.retrieval.scored_blocks import ScoredBlocks
from ray_tasks.retrieval.source import CandidateSource
from ray_tasks.retrieval.tuning import tuning_users
from schemas.config import Candidates, Ranking

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


def learn_ranker(
    blocks: ScoredBlocks, view: Window, settings: Ranking, names: tuple[str, ...], folder: Path, seed: int
) -> ServingModel:
    """Train the ranker on the candidates of the validation users, written block by block below `folder`."""
    assert view.targets is not None
    write_blocks(blocks, str(folder))
    lists = Lists.of(ds.dataset(str(folder)).to_table())
    targets = view.targets.take(np.searchsorted(view.user_ids, lists.user_ids))
    return learn(lists, targets, view.log.item_ids, settings, seed, names)


@dataclass(frozen=True)
class RankedBlocks:
    """Test users block by block: rows of RANKED, by the ranker and by untrained fusion."""

    scored: ScoredBlocks
    model: ServingModel

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.scored.count

    def table(self, number: int) -> pa.Table:
        """One block's rows; a user is the position among the window's users."""
        lists = Lists.of(self.scored.table(number))
        ids = self.scored.scorer.item_ids
        user = np.searchsorted(self.scored.users.user_ids, lists.user_ids)
        by_ranker = self.model.ranker.score(lists)
        scores = {"ranker": by_ranker, "fusion": fusion(lists)}
        return pa.concat_tables([_rows(name, lists, user, found, self.model, ids) for name, found in scores.items()])


def _rows(
    name: str, lists: Lists, user: Ints, scores: Floats, model: ServingModel, ids: NDArray[np.object_]
) -> pa.Table:
    ranked = positions(lists, scores, K, ids)
    chances = _at(lists, ranked, model.probability(scores), ids) if name == "ranker" else np.full(ranked.shape, np.nan)
    columns = [pa.repeat(name, len(user)), pa.array(user), pa.array(ranked.tolist()), pa.array(chances.tolist())]
    return pa.table([c.cast(f.type) for c, f in zip(columns, RANKED, strict=True)], schema=RANKED)


def _at(lists: Lists, ranked: Ints, values: Floats, ids: NDArray[np.object_]) -> Floats:
    """The rows' values in the order of the lists (users, K); NaN for empty places."""
    item = np.searchsorted(ids, lists.table["item_id"].to_numpy())
    key = lists.user_of * len(ids) + item
    wanted = np.arange(len(ranked))[:, None] * len(ids) + ranked
    place = np.clip(np.searchsorted(key, wanted), 0, max(len(key) - 1, 0))
    return np.where(ranked >= 0, values[place] if len(values) else np.nan, np.nan)


def rank_blend(blocks: ScoredBlocks, model: ServingModel, folder: Path) -> tuple[dict[str, Ints], Floats]:
    """Lists of all users by ranker and by fusion, (users, K) each, and the ranker's probabilities of its own lists."""
    write_blocks(RankedBlocks(blocks, model), str(folder))
    table = ds.dataset(str(folder)).to_table()
    lists, chances = {}, np.full((len(blocks.users), K), np.nan)
    for name in ("ranker", "fusion"):
        rows = table.filter(pa.compute.equal(table["model"], name))
        lists[name] = np.full((len(blocks.users), K), -1, dtype=np.int64)
        lists[name][rows["user"].to_numpy()] = _matrix(rows["items"])
        if name == "ranker":
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


def sources_of(fitted: Mapping[str, CandidateSource], names: tuple[str, ...]) -> dict[str, CandidateSource]:
    """Those of the fitted sources that a variant of the blend uses."""
    return {name: fitted[name] for name in names if name in fitted}
