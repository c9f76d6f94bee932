"""Task `candidates`: tune the sources on the validation window, then propose items for every user of every window."""

import logging

from ray_tasks.interactions.served import served_users
from ray_tasks.interactions.user_blocks import write_blocks
from ray_tasks.interactions.windows import WINDOWS, Window, read_log, window
from ray_tasks.ray_session import ray_session
from ray_tasks.retrieval.factory import SourceFactory, grids
from ray_tasks.retrieval.item_texts import read_texts
from ray_tasks.retrieval.scored_blocks import ScoredBlocks
from ray_tasks.retrieval.stated import read_stated
from ray_tasks.retrieval.tuning import Tuned, tune, tuning_users
from schemas.config import Candidates, RunConfig
from schemas.night import night_task, task_arguments

log = logging.getLogger("nightrec.candidates")


def main() -> None:
    """Read the pinned tables, tune, score, publish."""
    with night_task("candidates", task_arguments(__doc__ or "")) as task:
        known, texts = read_log(task), read_texts(task)
        served, stated = served_users(task, known), read_stated(task, known)
        settings, seed = enough(task.config), task.config.seed
        stage = task.stage("candidates")
        tuned: dict[str, Tuned] = {}
        with ray_session():
            for name in WINDOWS:
                view = window(known, name, served, stated)
                factory = SourceFactory(view.log, texts, settings, seed)
                tuned = tuned or tune_all(view, factory)
                sources = {source: factory.fit(source, found.parameters) for source, found in tuned.items()}
                log.info("window %s: %s users", name, f"{len(view.user_ids):,}")
                write_blocks(ScoredBlocks.of(view, sources, settings), stage.uri)
        task.counters["new_users"] = {
            "served": int((view.history.lengths == 0).sum()),
            "of_them_stated": len(view.stated.user_ids),
        }
        task.counters["tuned"] = {name: found.parameters for name, found in tuned.items()}
        task.counters["validation_ndcg"] = {name: round(found.ndcg, 6) for name, found in tuned.items()}
        task.publish(stage)


def enough(config: RunConfig) -> Candidates:
    """The settings, with as many candidates per source as a list has places: a new user has few sources."""
    settings = config.candidates
    return settings.model_copy(update={"per_source": max(settings.per_source, config.ranking.top_k)})


def tune_all(validation: Window, factory: SourceFactory) -> dict[str, Tuned]:
    """Every source's best parameters, each on the users that it is for."""
    tuned: dict[str, Tuned] = {}
    for name, grid in grids(factory.settings).items():
        users = tuning_users(validation, factory.settings.tuning_users, factory.seed, name)
        # What newcomers take is tuned on more users than those who said something.
        known = tuned["newcomers"].parameters if name == "stated" and "newcomers" in tuned else {}
        tuned[name] = tune(name, {**grid, **{key: (value,) for key, value in known.items()}}, factory, users)
    return tuned


if __name__ == "__main__":
    main()
