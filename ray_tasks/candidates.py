"""Task `candidates`: tune the sources on the validation window, then propose items for every user of every window.

An attempt that follows a failed or killed one tunes and fits again, and scores only the blocks that are missing.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.served import served_users
from ray_tasks.interactions.stated import Stated
from ray_tasks.interactions.stored_log import StoredLog, known_at_first
from ray_tasks.interactions.user_blocks import StoredBlocks, write_stage
from ray_tasks.interactions.windows import WINDOWS, Log, window
from ray_tasks.ray_session import ray_session
from ray_tasks.retrieval.factory import Parameters, SourceFactory
from ray_tasks.retrieval.item_factors import covered, read_factors, with_ials
from ray_tasks.retrieval.item_texts import ItemTexts, read_texts
from ray_tasks.retrieval.scored_blocks import ScoredBlocks
from ray_tasks.retrieval.side_by_side import Trial, fit_all, trials_of, tune_all
from ray_tasks.retrieval.stated import read_stated
from ray_tasks.retrieval.tuning import Tuned
from schemas.candidates_config import Candidates
from schemas.config import RunConfig
from schemas.lake import Snapshot, Stage
from schemas.night import Task, night_task, task_arguments
from schemas.repeat import newest_record, repeated

log = logging.getLogger("nightrec.candidates")


@dataclass(frozen=True)
class Known:
    """What the night knows beside its log, of which every window sees its part."""

    texts: ItemTexts
    served: NDArray[np.object_]
    stated: Stated
    factors: Snapshot
    settings: Candidates
    seed: int

    @classmethod
    def read(cls, task: Task, log: StoredLog) -> "Known":
        """From the pinned tables."""
        factors = task.read("item_factors")
        settings = with_ials(enough(task.config), factors)
        served, stated = served_users(task, log.user_ids), read_stated(task, log.asked(known_at_first))
        return cls(read_texts(task), served, stated, factors, settings, task.config.seed)


def main() -> None:
    """Read the pinned tables, tune, score, publish."""
    with night_task("candidates", task_arguments(__doc__ or "")) as task:
        if repeated(task):
            return
        stage, tuned = task.stage("candidates"), dict[str, Tuned]()
        with ray_session():
            events = StoredLog.read(task)
            known = Known.read(task, events)
            for name in WINDOWS:
                tuned = propose(task, stage, events, known, name, tuned)
        task.counters["tuned"] = {name: found.parameters for name, found in tuned.items()}
        task.counters["tuned_by"] = settings_digest(task.config)
        task.counters["validation_ndcg"] = {
            name: round(found.ndcg, 6) for name, found in tuned.items() if found.ndcg is not None
        }
        task.publish(stage)


def propose(
    task: Task, stage: Stage, events: StoredLog, known: Known, name: str, tuned: dict[str, Tuned]
) -> dict[str, Tuned]:
    """Write a window's candidates, tuned on it unless the sources are tuned; what they are tuned to.

    Workers make all of it, and what they made goes with the call: of a large log, two windows are gigabytes.
    """
    import ray

    earlier = None if tuned else incumbents(task)
    factory, unscored, trials, figures = events.made(prepared, known, name, earlier, parts=4)
    tuned = tuned or tune_all(ray.get(trials), factory)
    parameters = {source: found.parameters for source, found in tuned.items()}
    blocks = StoredBlocks.made(ScoredBlocks.scored_by, unscored, fit_all(factory, parameters))
    found = ray.get(figures)
    log.info("window %s: %s users", name, f"{found.pop('users'):,}")
    write_stage(task, stage, blocks, name, state=json.dumps(parameters))
    if name == "serving":
        task.counters.update(found)
        log.info("items taken, covered by dense sources, by factors of Spark: %s", found["catalogue"])
    return tuned


def prepared(
    log: Log, known: Known, name: str, earlier: Mapping[str, Parameters] | None
) -> tuple[SourceFactory, ScoredBlocks, list[Trial], dict[str, Any]]:
    """A window's factory with what its sources share, its blocks without sources, its trials, and figures about it.

    `earlier` is what an earlier night tuned the sources to; without it there are no trials.
    """
    view = window(log, name, known.served, known.stated)
    factors = read_factors(known.factors, name, log.item_ids)
    factory = SourceFactory(view.log, known.texts, known.settings, known.seed, factors)
    trials = [] if earlier is None else trials_of(view, factory, earlier)
    new = {"served": int((view.history.lengths == 0).sum()), "of_them_stated": len(view.stated.user_ids)}
    covers = covered(view.log, known.settings.max_core_items, factors)
    figures = {"users": len(view.user_ids), "catalogue": covers, "new_users": new}
    return factory.shared(), ScoredBlocks.of(view, {}, known.settings), trials, figures


def incumbents(task: Task) -> dict[str, Parameters]:
    """What the newest published night tuned its sources to; nothing where other settings than tonight's decided it."""
    counters = newest_record(task)[1].get("counters", {})
    if counters.get("tuned_by") != settings_digest(task.config):
        return {}
    return cast("dict[str, Parameters]", counters["tuned"])


def settings_digest(config: RunConfig) -> str:
    """Digest of what the sources' parameters are chosen from."""
    return hashlib.sha256(config.candidates.model_dump_json().encode()).hexdigest()


def enough(config: RunConfig) -> Candidates:
    """The settings, with as many candidates per source as a list has places: a new user has few sources."""
    settings = config.candidates
    return settings.model_copy(update={"per_source": max(settings.per_source, config.ranking.top_k)})


if __name__ == "__main__":
    main()
