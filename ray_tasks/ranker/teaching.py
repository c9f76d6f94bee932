"""What the ranker learns from, and workers that learn it.

Lists of the validation window lie in Ray's object store. With the features that trees see, those of two thousand users
take a gigabyte or two while a worker fits them; whoever elects a model need not hold them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_tasks.interactions.metrics import ndcg
from ray_tasks.interactions.rows import Floats, Rows
from ray_tasks.interactions.windows import Log, window
from ray_tasks.ranker.candidate_files import CandidateFiles
from ray_tasks.ranker.features import Lists
from ray_tasks.ranker.gate import Learnt, ServingModel, fit
from ray_tasks.ranker.ranked_lists import positions
from ray_tasks.ranker.trees import LABEL_WEIGHT
from ray_tasks.ray_session import in_worker
from schemas.lake import Snapshot
from schemas.ranking_config import Ranking

Taught = tuple[Lists, Rows]
"""Lists of the validation window to learn from, and what each of their users took."""


@dataclass(frozen=True)
class Teacher:
    """What workers learn of lists that lie in Ray's object store, and how good they find a model by them."""

    taught: Any
    item_ids: NDArray[np.object_]
    seed: int

    def learnt(self, settings: Ranking) -> Learnt:
        """A model that a worker fits; the worker ends then, since it has taken a gigabyte or two."""
        import ray

        found: Learnt = ray.get(in_worker(_fit, self.taught, self.item_ids, settings, self.seed, ends_worker=True))
        return found

    def quality(self, model: ServingModel) -> Floats:
        """NDCG@10 of each user, by trees that have not seen the user."""
        import ray

        found: Floats = ray.get(in_worker(_quality, self.taught, self.item_ids, model, ends_worker=True))
        return found


def _fit(taught: Taught, item_ids: NDArray[np.object_], settings: Ranking, seed: int) -> Learnt:
    return fit(*taught, item_ids, settings, seed)


def _quality(taught: Taught, item_ids: NDArray[np.object_], model: ServingModel) -> Floats:
    lists, targets = taught
    return ndcg(positions(lists, model.score_unseen(lists), 10, item_ids), targets)


def training_lists(known: Log, files: CandidateFiles, splits: Snapshot, most: int, seed: int) -> Taught:
    """What the ranker learns from: lists of a seeded sample of users, weighed where the log says how."""
    lists, targets = validation_lists(files, *validation_users(known, most, seed))
    return with_label_weights(lists, splits), targets


def validation_users(known: Log, most: int, seed: int) -> tuple[NDArray[np.object_], Rows]:
    """A seeded sample of the validation users who have a history, by id, and what each of them took."""
    view = window(known, "validation")
    assert view.targets is not None
    rows = np.flatnonzero(view.history.lengths)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return view.user_ids[rows], view.targets.take(rows)


def validation_lists(files: CandidateFiles, user_ids: NDArray[np.object_], targets: Rows) -> tuple[Lists, Rows]:
    """Candidates of validation users, and what each of those who have any took."""
    lists = Lists.none() if not len(user_ids) else files.read("validation", user_ids)
    return lists, targets.take(np.searchsorted(user_ids, lists.user_ids))


def with_label_weights(lists: Lists, splits: Snapshot) -> Lists:
    """The lists with the weight of what was taken, where the log weighs any of it: `jobs.feedback_events` says why."""
    weighed = (pc.field("split") == "validation") & (pc.field("weight") != 1.0)
    told = splits.dataset().to_table(["user_id", "item_id", "weight"], weighed)
    if not told.num_rows:
        return lists
    keys = zip(told["user_id"].to_pylist(), told["item_id"].to_pylist(), strict=True)
    weight: dict[tuple[str, str], float] = {}
    for key, value in zip(keys, told["weight"].to_pylist(), strict=True):
        weight[key] = max(value, weight.get(key, 0.0))
    users, items = lists.user_ids[lists.user_of].tolist(), lists.table["item_id"].to_pylist()
    hits = lists.column("label") > 0
    own = [weight.get(key, 1.0) if hit else 1.0 for key, hit in zip(zip(users, items, strict=True), hits, strict=True)]
    return Lists.of(lists.table.append_column(LABEL_WEIGHT, pa.array(own, pa.float64())))
