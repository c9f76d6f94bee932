"""Task `candidates`: tune the sources on the validation window, then propose items for every user of every window."""

import logging
import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ray_tasks.interactions.user_blocks import write_blocks
from ray_tasks.interactions.windows import WINDOWS, Log, read_log, window
from ray_tasks.ray_session import ray_session
from ray_tasks.retrieval.candidate_blocks import ItemFeatures, Scorer, Users
from ray_tasks.retrieval.text_similarity import Vectors, item_vectors
from ray_tasks.retrieval.tuning import SourceFactory, Tuned, grids, tune, tuning_users
from schemas.config import Candidates
from schemas.night import Task, night_task, task_arguments

log = logging.getLogger("nightrec.candidates")


def main() -> None:
    """Read the pinned tables, tune, score, publish."""
    with night_task("candidates", task_arguments(__doc__ or "")) as task:
        known, vectors = read_inputs(task)
        served = task.read("user_histories").read(["user_id"])["user_id"].to_numpy()
        tuned = tune_all(known, vectors, task.config.candidates, task.config.seed)
        stage = task.stage("candidates")
        with ray_session():
            for name in WINDOWS:
                scorer, users = scoring(
                    known, name, served=served, vectors=vectors, tuned=tuned, settings=task.config.candidates
                )
                write_blocks(ScoredBlocks(scorer, users, task.config.candidates.block_size), stage.uri)
        task.counters["tuned"] = {name: found.parameters for name, found in tuned.items()}
        task.counters["validation_ndcg"] = {name: round(found.ndcg, 6) for name, found in tuned.items()}
        task.publish(stage)


def read_inputs(task: Task) -> tuple[Log, Vectors]:
    """The log with its splits, and the items' text vectors."""
    known = read_log(task)
    return known, item_vectors(task.read("item_embeddings").read(["item_id", "kind", "vector"]), known.item_ids)


def tune_all(known: Log, vectors: Vectors, settings: Candidates, seed: int) -> dict[str, Tuned]:
    """Every source's best parameters. Popularity is tuned on all users, the others on those with a history."""
    validation = window(known, "validation")
    factory = SourceFactory(validation.log, vectors, settings.max_core_items)
    tuned = {}
    for name, grid in grids(settings).items():
        users = tuning_users(validation, settings.tuning_users, seed, warm=name != "popularity")
        tuned[name] = tune(name, grid, factory, users, settings)
    return tuned


def scoring(
    known: Log, name: str, *, served: Any, vectors: Vectors, tuned: dict[str, Tuned], settings: Candidates
) -> tuple[Scorer, Users]:
    """One window's fitted sources, and its users."""
    view = window(known, name, served)
    factory = SourceFactory(view.log, vectors, settings.max_core_items)
    sources = {source: factory.fit(source, found.parameters) for source, found in tuned.items()}
    scorer = Scorer(name, sources, known.item_ids, ItemFeatures.of(view.log), settings.per_source)
    log.info("window %s: %s users", name, f"{len(view.user_ids):,}")
    return scorer, Users.of(view)


@dataclass(frozen=True)
class ScoredBlocks:
    """One window's users in blocks: rows of `candidates`, each block sorted by user and item."""

    scorer: Scorer
    users: Users
    size: int

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.ceil(len(self.users) / self.size)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        return self.scorer.table(self.users.part(number * self.size, self.size))


if __name__ == "__main__":
    main()
