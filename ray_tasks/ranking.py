"""Task `ranking`: learn from the validation window, publish each user's list, and rank the test window offline."""

import logging
import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_tasks.final_list.build import FinalLists
from ray_tasks.final_list.catalogue import CatalogueFields
from ray_tasks.interactions.served import served_users
from ray_tasks.interactions.user_blocks import write_blocks
from ray_tasks.interactions.windows import Log, Window, read_log, window
from ray_tasks.ranker.candidate_files import CandidateFiles
from ray_tasks.ranker.features import Lists, fusion
from ray_tasks.ranker.gate import ServingModel, learn
from ray_tasks.ranker.ranked_lists import offline_rankings, ranking_rows, recommendations, source_scores
from ray_tasks.ray_session import ray_session
from ray_tasks.reranking.stage import reranked
from ray_tasks.retrieval.candidate_blocks import Users, proposals
from ray_tasks.retrieval.item_factors import with_ials
from ray_tasks.retrieval.popularity import RecentPopularity
from ray_tasks.retrieval.text_similarity import item_vectors
from schemas.config import Ranking, RunConfig
from schemas.night import Task, night_task, task_arguments

log = logging.getLogger("nightrec.ranking")

OFFLINE_LENGTH = 20
"""Places of an offline list: as many as the longest metric (Recall@20) looks at."""


def main() -> None:
    """Read the pinned tables, learn, rank, publish."""
    with night_task("ranking", task_arguments(__doc__ or "")) as task:
        known, config = read_log(task), task.config
        served = served_users(task, known)
        files = CandidateFiles.of(task.read("candidates"))
        model = learn_from_validation(known, files, config)
        published, offline = task.stage("recommendations"), task.stage("offline_rankings")
        size, used = config.candidates.block_size, with_ials(config.candidates, task.read("item_factors")).used
        with ray_session():
            final = final_lists(task, window(known, "serving", served))
            lists = ServedBlocks(files, served, model, final, config.ranking, size)
            write_blocks(reranked(task, known, lists), published.uri)
            write_blocks(OfflineBlocks.of(files, window(known, "test"), model, used, size), offline.uri)
        task.counters.update(
            trees=model.decision.trees,
            gate={"serving": model.decision.serving, "reason": model.decision.reason},
            validation_ndcg=model.decision.ndcg,
            feature_importance=model.ranker.importance(),
        )
        task.publish(published)
        task.publish(offline)


def final_lists(task: Task, view: Window) -> FinalLists:
    """The night's rules, with what they refer to; vectors are read only where likeness counts."""
    fields = CatalogueFields.of(task.read("items").read(["item_id", "categories", "texts"]))
    embeddings, settings = task.read("item_embeddings"), task.config.final_list
    vectors = np.zeros((len(fields.item_ids), 1), dtype=np.float32)
    if settings.diversity:
        vectors = item_vectors(embeddings.read(["item_id", "kind", "vector"]), fields.item_ids)
    return FinalLists(settings, fields, vectors, view.user_ids, view.history)


def learn_from_validation(known: Log, files: CandidateFiles, config: RunConfig) -> ServingModel:
    """Train and gate on a seeded sample of the validation users who have a history."""
    view = window(known, "validation")
    assert view.targets is not None
    rows = np.flatnonzero(view.history.lengths)
    if len(rows) > config.ranking.training_users:
        rows = np.sort(np.random.default_rng(config.seed).choice(rows, config.ranking.training_users, replace=False))
    lists = Lists.none() if not len(rows) else files.read("validation", view.user_ids[rows])
    targets = view.targets.take(np.searchsorted(view.user_ids, lists.user_ids))
    return learn(lists, targets, known.item_ids, config.ranking, config.seed)


@dataclass(frozen=True)
class ServedBlocks:
    """Ranks served users block by block: rows of `recommendations`."""

    files: CandidateFiles
    user_ids: NDArray[np.object_]
    model: ServingModel
    final: FinalLists
    settings: Ranking
    size: int

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.ceil(len(self.user_ids) / self.size)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        lists = self.files.read("serving", self.user_ids[number * self.size : (number + 1) * self.size])
        k, scores = self.settings.top_k, self.model.score(lists)
        return self.final.pinned(recommendations(lists, scores, k, self.settings.arm, self.final.places), k)


@dataclass(frozen=True)
class OfflineBlocks:
    """Ranks test users block by block, by every model: rows of `offline_rankings`.

    `ranker` is what serves after the gate; each source alone ranks the full catalogue, seen items removed.
    """

    files: CandidateFiles
    users: Users
    model: ServingModel
    all_time: RecentPopularity
    item_ids: NDArray[np.object_]
    sources: tuple[str, ...]
    size: int

    @classmethod
    def of(
        cls, files: CandidateFiles, view: Window, model: ServingModel, sources: tuple[str, ...], size: int
    ) -> "OfflineBlocks":
        """For the users of the test window."""
        return cls(files, Users.of(view), model, RecentPopularity.fit(view.log, None), view.log.item_ids, sources, size)

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.ceil(len(self.users) / self.size)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        users = self.users.part(number * self.size, self.size)
        lists = self.files.read("test", users.user_ids)
        models = {"ranker": self.model.score(lists), "fusion": fusion(lists)}
        for source in self.sources:
            models["popularity_recent" if source == "popularity" else source] = source_scores(lists, source)
        return pa.concat_tables([offline_rankings(lists, models, OFFLINE_LENGTH), self._popularity_all_time(users)])

    def _popularity_all_time(self, users: Users) -> pa.Table:
        ranked = proposals(self.all_time.score(users.history), users.history, OFFLINE_LENGTH)
        user, place = np.nonzero(ranked >= 0)
        user_ids = pa.array(users.user_ids[user], pa.string())
        item_ids = pa.array(self.item_ids[ranked[user, place]], pa.string())
        return ranking_rows("popularity_all_time", user_ids, place + 1, item_ids)


if __name__ == "__main__":
    main()
