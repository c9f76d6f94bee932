"""Task `ranking`: learn from the validation window, publish each user's list, and rank the test window offline.

An attempt that follows a failed or killed one learns and elects again (nothing of that is kept, and it comes out the
same), and ranks only the blocks of users that are missing.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_tasks.final_list.build import FinalLists
from ray_tasks.final_list.catalogue import CatalogueFields
from ray_tasks.final_list.hidden import read_hidden
from ray_tasks.final_list.served_blocks import ServedBlocks, shuffled_shares, ways
from ray_tasks.final_list.shown import read_shown
from ray_tasks.final_list.shuffled import with_shuffled
from ray_tasks.interactions.served import served_users
from ray_tasks.interactions.stored_log import StoredLog, served_window
from ray_tasks.interactions.user_blocks import StoredBlocks, write_stage
from ray_tasks.interactions.windows import Log, Window, window
from ray_tasks.ranker.candidate_files import CandidateFiles
from ray_tasks.ranker.election import Election, Entry, Terms, elect, incumbent, settle
from ray_tasks.ranker.features import fusion
from ray_tasks.ranker.gate import ServingModel
from ray_tasks.ranker.ranked_lists import offline_rankings, ranking_rows, source_scores
from ray_tasks.ranker.reasons import EXAMPLES, Example, examples
from ray_tasks.ranker.registry import RankerRegistry
from ray_tasks.ranker.serialised import digest_of, to_files
from ray_tasks.ranker.teaching import Teacher, training_lists
from ray_tasks.ray_session import ray_session
from ray_tasks.reranking.stage import reranked
from ray_tasks.retrieval.candidate_blocks import Users, proposals
from ray_tasks.retrieval.item_factors import with_ials
from ray_tasks.retrieval.popularity import RecentPopularity
from ray_tasks.retrieval.text_similarity import item_vectors
from schemas.config import RunConfig
from schemas.lake import Stage
from schemas.night import Task, night_task, task_arguments
from schemas.repeat import recipe, repeated

OFFLINE_LENGTH = 20
"""Places of an offline list: as many as the longest metric (Recall@20) looks at."""


def main() -> None:
    """Read the pinned tables, learn, choose between champion and challenger, rank, publish, register."""
    with night_task("ranking", task_arguments(__doc__ or "")) as task:
        config, registry = task.config, RankerRegistry(task.config)
        if repeated(task, deciding_state(registry)):
            return
        with ray_session():
            known, files = StoredLog.read(task), CandidateFiles.of(task.read("candidates"))
            about = files, task.read("splits"), config.ranking.training_users, config.seed
            teacher = Teacher(known.made(training_lists, *about), known.item_ids, config.seed)
            challenger, election = choose_model(teacher, registry)
            final = final_lists(task, known.asked(served_window, served_users(task, known.user_ids)))
            blocks = served_blocks(config, files, final, teacher, election.model)
            state = digest_of(to_files(election.model))
            served = write_served(task, known, blocks, challenger, state)
            tested = write_tested(task, known, files, election.model, state)
            shown, own = (example_reasons(files, final, config, one) for one in (election.model, challenger))
        task.publish(served)
        task.publish(tested)
        entry = entry_of(challenger, config, own)
        task.counters.update(counters(challenger, settle(registry, election, entry), shown))
        settled = deciding_state(registry)  # what the next night finds, if nothing else changes
        task.recipe = recipe(config, settled) if settled is not None else None


def deciding_state(registry: RankerRegistry) -> str | None:
    """What decides the lists beside tables, configuration and code: the champion, and the experiments that run tonight.

    None if that cannot be told. A language model that re-orders lists lies outside as well: its lists are made every
    night.
    """
    config = registry.config
    champion = incumbent(registry, Terms.of(config)) if config.ranking.rerank.method == "off" else None
    running = sorted(one.name for one in config.experiments.planned if one.runs_on(config.night))
    return None if champion is None else " ".join([champion, *running])


def example_reasons(files: CandidateFiles, final: FinalLists, config: RunConfig, model: ServingModel) -> list[Example]:
    """Why the first places of a few drawn users' lists are theirs."""
    users = final.user_ids[final.histories.lengths > 0]
    chosen = np.random.default_rng(config.seed).permutation(len(users))[:EXAMPLES]
    if not len(chosen):
        return []
    lists = files.read("serving", users[np.sort(chosen)])
    rows, rank = final.places(lists, model.score(lists), config.ranking.top_k)
    return examples(model, lists, rows[rank == 1])


def choose_model(teacher: Teacher, registry: RankerRegistry) -> tuple[ServingModel, Election]:
    """The model learnt tonight, and which one serves: that one or the champion."""
    config = registry.config
    learnt = teacher.learnt(config.ranking)
    return learnt.model, elect(registry, learnt, Terms.of(config), teacher.quality)


def entry_of(model: ServingModel, config: RunConfig, shown: list[Example]) -> Entry:
    """Tonight's model with all that the registry keeps of it."""
    about = {
        "features": list(model.ranker.names),
        "sources": list(config.candidates.used),
        "parameters": {**config.ranking.model_dump(), "seed": config.seed, "chosen_trees": model.decision.trees},
        "gate": asdict(model.decision),
        "feature_importance": model.ranker.importance(),
        "examples": shown,
    }
    return Entry(model, config.as_of, Terms.of(config).fits, about)


def counters(challenger: ServingModel, election: Election, shown: list[Example]) -> dict[str, Any]:
    """Figures for the night's report: of the model that serves, and of tonight's gate."""
    model = election.model
    return {
        "trees": model.decision.trees,
        "gate": {
            "serving": model.decision.serving,
            "reason": challenger.decision.reason,
            "version": election.serving,
            "version_reason": election.reason,
        },
        "validation_ndcg": challenger.decision.ndcg,
        "feature_importance": model.ranker.importance(),
        "examples": shown,
    }


def served_blocks(
    config: RunConfig, files: CandidateFiles, final: FinalLists, teacher: Teacher, serving: ServingModel
) -> ServedBlocks:
    """Each user's list, made in the way of the user's arm; an arm may learn a ranker of its own."""
    made = ways(config, serving, final, lambda settings: teacher.learnt(settings).model)
    usual, size = config.ranking.arm, config.candidates.block_size
    return ServedBlocks(files, final.user_ids, made, config.experiments, config.night, usual, size)


def write_served(task: Task, known: StoredLog, blocks: ServedBlocks, challenger: ServingModel, state: str) -> Stage:
    """Write `recommendations`: some lists re-ordered by a language model, some shown in a drawn order.

    `state` is the digest of the model that serves.
    """
    stage = task.stage("recommendations")
    # The challenger's lists only tell where it would put what is shown anyway.
    other = challenger if digest_of(to_files(challenger)) != state else None
    shares = shuffled_shares(blocks.ways, blocks.usual)
    lists = with_shuffled(reranked(task, known.here, blocks), blocks.files, other, shares, blocks.night)
    write_stage(task, stage, lists, state=state)
    return stage


def write_tested(task: Task, known: StoredLog, files: CandidateFiles, serving: ServingModel, state: str) -> Stage:
    """Write `offline_rankings`: the test users' lists by the model that serves, by fusion and by each source.

    `state` is that model's digest.
    """
    settings, stage = task.config.candidates, task.stage("offline_rankings")
    used = with_ials(settings, task.read("item_factors")).used
    blocks = StoredBlocks.made(OfflineBlocks.of, known.reference, files, serving, used, settings.block_size)
    write_stage(task, stage, blocks, state=state)
    return stage


def final_lists(task: Task, view: Window) -> FinalLists:
    """The night's rules, with what they refer to; vectors are read only where likeness counts."""
    fields = CatalogueFields.of(task.read("items").read(["item_id", "categories", "texts"]))
    embeddings, settings = task.read("item_embeddings"), task.config.final_list
    vectors = np.zeros((len(fields.item_ids), 1), dtype=np.float32)
    arms = [arm for experiment in task.config.experiments.planned for arm in experiment.arms]
    if settings.diversity or any("final_list__diversity" in arm.changes for arm in arms):
        vectors = item_vectors(embeddings.read(["item_id", "kind", "vector"]), fields.item_ids)
    hidden = read_hidden(task, view.user_ids, fields.item_ids)
    shown = read_shown(task, view.user_ids, fields.item_ids)
    return FinalLists(settings, fields, vectors, view.user_ids, view.history, hidden, shown)


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
        cls, known: Log, files: CandidateFiles, model: ServingModel, sources: tuple[str, ...], size: int
    ) -> "OfflineBlocks":
        """For the users of the log's test window."""
        view = window(known, "test")
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
