"""Task `candidates`: tune the sources on the validation window, then propose items for every user of every window.

An attempt that follows a failed or killed one tunes and fits again, and scores only the blocks that are missing.
"""

import json
import logging

from ray_tasks.interactions.served import served_users
from ray_tasks.interactions.user_blocks import write_stage
from ray_tasks.interactions.windows import WINDOWS, read_log, window
from ray_tasks.ray_session import ray_session
from ray_tasks.retrieval.factory import SourceFactory
from ray_tasks.retrieval.item_factors import covered, read_factors, with_ials
from ray_tasks.retrieval.item_texts import read_texts
from ray_tasks.retrieval.scored_blocks import ScoredBlocks
from ray_tasks.retrieval.side_by_side import fit_all, trials_of, tune_all
from ray_tasks.retrieval.stated import read_stated
from ray_tasks.retrieval.tuning import Tuned
from schemas.candidates_config import Candidates
from schemas.config import RunConfig
from schemas.night import night_task, task_arguments
from schemas.repeat import repeated

log = logging.getLogger("nightrec.candidates")


def main() -> None:
    """Read the pinned tables, tune, score, publish."""
    with night_task("candidates", task_arguments(__doc__ or "")) as task:
        if repeated(task):
            return
        known, texts = read_log(task), read_texts(task)
        served, stated = served_users(task, known), read_stated(task, known)
        factors, seed = task.read("item_factors"), task.config.seed
        settings = with_ials(enough(task.config), factors)
        stage = task.stage("candidates")
        tuned: dict[str, Tuned] = {}
        with ray_session():
            for name in WINDOWS:
                view = window(known, name, served, stated)
                factory = SourceFactory(view.log, texts, settings, seed, read_factors(factors, name, known.item_ids))
                tuned = tuned or tune_all(trials_of(view, factory), factory)
                sources = fit_all(factory, {source: found.parameters for source, found in tuned.items()})
                log.info("window %s: %s users", name, f"{len(view.user_ids):,}")
                state = json.dumps({source: found.parameters for source, found in tuned.items()})
                write_stage(task, stage, ScoredBlocks.of(view, sources, settings), name, state)
        task.counters["catalogue"] = covered(view.log, settings.max_core_items, factory.factors)
        log.info("items taken, covered by dense sources, by factors of Spark: %s", task.counters["catalogue"])
        task.counters["new_users"] = {
            "served": int((view.history.lengths == 0).sum()),
            "of_them_stated": len(view.stated.user_ids),
        }
        task.counters["tuned"] = {name: found.parameters for name, found in tuned.items()}
        task.counters["validation_ndcg"] = {
            name: round(found.ndcg, 6) for name, found in tuned.items() if found.ndcg is not None
        }
        task.publish(stage)


def enough(config: RunConfig) -> Candidates:
    """The settings, with as many candidates per source as a list has places: a new user has few sources."""
    settings = config.candidates
    return settings.model_copy(update={"per_source": max(settings.per_source, config.ranking.top_k)})


if __name__ == "__main__":
    main()
