"""Task `candidates`: tune the sources on the validation window, then propose items for every user of every window.

An attempt that follows a failed or killed one tunes and fits again, and scores only the blocks that are missing.
"""

import json
import logging

from ray_tasks.interactions.user_blocks import write_stage
from ray_tasks.interactions.windows import WINDOWS, Window, read_log, window
from ray_tasks.ray_session import ray_session
from ray_tasks.retrieval.factory import SourceFactory, grids
from ray_tasks.retrieval.item_texts import read_texts
from ray_tasks.retrieval.scored_blocks import ScoredBlocks
from ray_tasks.retrieval.tuning import Tuned, tune, tuning_users
from schemas.night import night_task, task_arguments

log = logging.getLogger("nightrec.candidates")


def main() -> None:
    """Read the pinned tables, tune, score, publish."""
    with night_task("candidates", task_arguments(__doc__ or "")) as task:
        known, texts = read_log(task), read_texts(task)
        served = task.read("user_histories").read(["user_id"])["user_id"].to_numpy()
        settings, seed = task.config.candidates, task.config.seed
        stage = task.stage("candidates")
        tuned: dict[str, Tuned] = {}
        with ray_session():
            for name in WINDOWS:
                view = window(known, name, served)
                factory = SourceFactory(view.log, texts, settings, seed)
                tuned = tuned or tune_all(view, factory)
                sources = {source: factory.fit(source, found.parameters) for source, found in tuned.items()}
                log.info("window %s: %s users", name, f"{len(view.user_ids):,}")
                state = json.dumps({source: found.parameters for source, found in tuned.items()})
                write_stage(task, stage, ScoredBlocks.of(view, sources, settings), name, state)
        task.counters["tuned"] = {name: found.parameters for name, found in tuned.items()}
        task.counters["validation_ndcg"] = {name: round(found.ndcg, 6) for name, found in tuned.items()}
        task.publish(stage)


def tune_all(validation: Window, factory: SourceFactory) -> dict[str, Tuned]:
    """Every source's best parameters, each on the users that it is for."""
    tuned = {}
    for name, grid in grids(factory.settings).items():
        users = tuning_users(validation, factory.settings.tuning_users, factory.seed, name)
        tuned[name] = tune(name, grid, factory, users)
    return tuned


if __name__ == "__main__":
    main()
