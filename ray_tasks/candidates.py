"""Task `candidates`: tune the sources on the validation window, then propose items for every user of every window.

An attempt that follows a failed or killed one tunes and fits again, and scores only the blocks that are missing.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.served import served_users
from ray_tasks.interactions.stated import Stated
from ray_tasks.interactions.user_blocks import write_stage
from ray_tasks.interactions.windows import WINDOWS, Log, read_log, window
from ray_tasks.ray_session import ray_session
from ray_tasks.retrieval.factory import Parameters, SourceFactory
from ray_tasks.retrieval.item_factors import covered, read_factors, with_ials
from ray_tasks.retrieval.item_texts import ItemTexts, read_texts
from ray_tasks.retrieval.scored_blocks import ScoredBlocks
from ray_tasks.retrieval.side_by_side import fit_all, trials_of, tune_all
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
    """What the night knows, of which every window sees its part."""

    log: Log
    texts: ItemTexts
    served: NDArray[np.object_]
    stated: Stated
    factors: Snapshot
    settings: Candidates
    seed: int

    @classmethod
    def read(cls, task: Task) -> "Known":
        """From the pinned tables."""
        events, factors = read_log(task), task.read("item_factors")
        settings = with_ials(enough(task.config), factors)
        served, stated = served_users(task, events), read_stated(task, events)
        return cls(events, read_texts(task), served, stated, factors, settings, task.config.seed)


def main() -> None:
    """Read the pinned tables, tune, score, publish."""
    with night_task("candidates", task_arguments(__doc__ or "")) as task:
        if repeated(task):
            return
        known, stage = Known.read(task), task.stage("candidates")
        tuned: Mapping[str, Tuned] = {}
        with ray_session():
            for name in WINDOWS:
                tuned = propose(task, stage, known, name, tuned)
        task.counters["tuned"] = {name: found.parameters for name, found in tuned.items()}
        task.counters["tuned_by"] = settings_digest(task.config)
        task.counters["validation_ndcg"] = {
            name: round(found.ndcg, 6) for name, found in tuned.items() if found.ndcg is not None
        }
        task.publish(stage)


def propose(task: Task, stage: Stage, known: Known, name: str, tuned: Mapping[str, Tuned]) -> Mapping[str, Tuned]:
    """Write a window's candidates, tuned on it unless the sources are tuned; what they are tuned to.

    What a window and its sources take goes with the call: of a large log, two of them are gigabytes.
    """
    view = window(known.log, name, known.served, known.stated)
    factors = read_factors(known.factors, name, known.log.item_ids)
    factory = SourceFactory(view.log, known.texts, known.settings, known.seed, factors)
    tuned = tuned or tune_all(trials_of(view, factory, incumbents(task)), factory)
    parameters = {source: found.parameters for source, found in tuned.items()}
    sources = fit_all(factory, parameters)
    log.info("window %s: %s users", name, f"{len(view.user_ids):,}")
    write_stage(task, stage, ScoredBlocks.of(view, sources, known.settings), name, state=json.dumps(parameters))
    if name == "serving":
        task.counters["catalogue"] = covered(view.log, known.settings.max_core_items, factors)
        log.info("items taken, covered by dense sources, by factors of Spark: %s", task.counters["catalogue"])
        task.counters["new_users"] = {
            "served": int((view.history.lengths == 0).sum()),
            "of_them_stated": len(view.stated.user_ids),
        }
    return tuned


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
