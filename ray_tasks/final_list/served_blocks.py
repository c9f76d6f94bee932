"""The lists that a night serves, block by block: each user's made as the user's arms of the experiments say."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_tasks.final_list.build import FinalLists
from ray_tasks.ranker.attribution import attributions
from ray_tasks.ranker.candidate_files import CandidateFiles
from ray_tasks.ranker.gate import ServingModel
from ray_tasks.ranker.ranked_lists import recommendations
from schemas.config import RunConfig, with_changes
from schemas.experiments import DEFAULT, Experiments
from schemas.ranking_config import Ranking

SERVING = frozenset(("top_k", "champion_days", "arm", "rerank"))
"""Settings of the ranking that say how lists are served, not what the ranker learns."""


@dataclass(frozen=True)
class Way:
    """How lists are made for the users of one label."""

    model: ServingModel
    final: FinalLists
    top_k: int


def ways(
    config: RunConfig, model: ServingModel, final: FinalLists, learn: Callable[[Ranking], ServingModel]
) -> dict[str, Way]:
    """By label of the experiments that run tonight, for the users of `final`.

    `learn` makes the ranker of an arm that learns by other settings than the night's; all others take `model`.
    """
    found = {}
    for label in sorted(set(config.experiments.labels(final.user_ids.tolist(), config.night))):
        changes = config.experiments.changes(label)
        own = with_changes(config, changes) if changes else config
        alike = _learnt_by(own.ranking) == _learnt_by(config.ranking)
        found[label] = Way(
            model if alike else learn(own.ranking), replace(final, settings=own.final_list), own.ranking.top_k
        )
    return found


def shuffled_shares(made: Mapping[str, Way], usual: str) -> dict[str, float]:
    """By the arm that rows of `recommendations` name, the share of the lists whose order is drawn."""
    return {usual if label == DEFAULT else label: way.final.settings.shuffle for label, way in made.items()}


def _learnt_by(settings: Ranking) -> dict[str, Any]:
    return settings.model_dump(exclude=set(SERVING))


@dataclass(frozen=True)
class ServedBlocks:
    """Rows of `recommendations` for the served users; `usual` is the arm written where no experiment has the user."""

    files: CandidateFiles
    user_ids: NDArray[np.object_]
    ways: Mapping[str, Way]
    experiments: Experiments
    night: date
    usual: str
    size: int

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.ceil(len(self.user_ids) / self.size)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        users = self.user_ids[number * self.size : (number + 1) * self.size]
        labels = self.experiments.labels(users.tolist(), self.night)
        parts = [self._lists(label, users[labels == label]) for label in sorted(set(labels))]
        return pa.concat_tables(parts).sort_by([("user_id", "ascending"), ("rank", "ascending")])

    def _lists(self, label: str, users: NDArray[np.object_]) -> pa.Table:
        way, lists = self.ways[label], self.files.read("serving", users)
        scores = way.model.score(lists)
        arm, chances = self.usual if label == DEFAULT else label, way.model.chances(lists, scores)
        why = partial(attributions, way.model)
        rows = recommendations(lists, scores, way.top_k, arm, way.final.places, chances, why)
        return way.final.pinned(rows, way.top_k)
