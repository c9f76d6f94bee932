"""The learned ranker: LightGBM lambdarank that corrects reciprocal-rank fusion.

Boosting starts from the fusion score, so that few trees mean a list close to fusion. How many pay is found by
cross-validation over users inside the validation window; a small window settles for few, or none.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.features import NAMES, Lists, features, fusion
from ray_tasks.rows import Floats, Ints
from schemas.config import Ranking

log = logging.getLogger("nightrec.ranking")

FUSION_WEIGHT = 30.0
"""Turns fusion scores (at most 4 / 61) into raw scores that a few trees can overcome but one cannot."""
CHECKPOINTS = (0, 1, 3, 10, 25, 50, 75, 100, 150, 200, 250, 300)
FOLDS = 5


@dataclass(frozen=True)
class Ranker:
    """Scores candidate rows. `model` is LightGBM's text form; empty for fusion alone."""

    model: str = ""

    def score(self, lists: Lists) -> Floats:
        """A score per row; higher is better. A user without history keeps the order of popularity."""
        learned = FUSION_WEIGHT * fusion(lists)
        if self.model and len(lists):
            learned = learned + self._booster.predict(features(lists), num_threads=1)
        return np.where(lists.column("user_count") > 0, learned, lists.column("popularity_score"))

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.model)

    def importance(self) -> dict[str, float]:
        """Share of each feature in the trees' gain, largest first."""
        if not self.model:
            return {}
        gain = np.asarray(self._booster.feature_importance("gain"), dtype=np.float64)
        shares = gain / max(gain.sum(), 1e-12)
        order = np.argsort(-shares, kind="stable")
        return {NAMES[index]: round(float(shares[index]), 4) for index in order if shares[index] > 0}


@dataclass(frozen=True)
class Training:
    """Candidate lists of the validation window as the trees see them."""

    lists: Lists
    values: NDArray[np.float32]
    start: Floats
    label: Ints

    @classmethod
    def of(cls, lists: Lists) -> "Training":
        """Features, starting scores and labels of labelled lists."""
        label = lists.column("label").astype(np.int64)
        return cls(lists, features(lists), FUSION_WEIGHT * fusion(lists), label)

    def booster(self, users: NDArray[np.bool_], settings: Ranking, seed: int) -> Any:
        """An untrained booster on the lists of some users; lists without a hit teach nothing and are left out."""
        import lightgbm

        hits = np.add.reduceat(self.label, self.lists.starts)
        learning = users & (hits > 0)
        rows = learning[self.lists.user_of]
        data = lightgbm.Dataset(
            self.values[rows],
            self.label[rows],
            group=self.lists.lengths[learning],
            init_score=self.start[rows],
            feature_name=list(NAMES),
            params={"verbose": -1},
        )
        return lightgbm.Booster(parameters(settings, seed), data)


def parameters(settings: Ranking, seed: int) -> dict[str, Any]:
    """LightGBM's parameters: the same lists and seed give the same trees."""
    return {
        "objective": "lambdarank",
        "lambdarank_truncation_level": 20,
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": 50,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 2,
        "verbose": -1,
    }


def cross_validated(training: Training, settings: Ranking, seed: int) -> dict[int, Floats]:
    """Out-of-fold scores of every row by number of trees.

    Folds are of whole users. Stops early once two checkpoints in a row have not raised the training's own measure.
    """
    users = len(training.lists)
    fold = np.random.default_rng(seed).permutation(users) % FOLDS
    boosters = [training.booster(fold != number, settings, seed) for number in range(min(FOLDS, users))]
    out = {0: training.start}
    for trees in (point for point in CHECKPOINTS if 0 < point <= settings.trees):
        scores = training.start.copy()
        for number, booster in enumerate(boosters):
            while booster.current_iteration() < trees:
                booster.update()
            rows = (fold == number)[training.lists.user_of]
            scores[rows] += booster.predict(training.values[rows], num_threads=2)
        out[trees] = scores
    return out


def train(training: Training, trees: int, settings: Ranking, seed: int) -> Ranker:
    """The ranker with a given number of trees, from all users."""
    if not trees:
        return Ranker()
    booster = training.booster(np.ones(len(training.lists), dtype=bool), settings, seed)
    for _ in range(trees):
        booster.update()
    return Ranker(booster.model_to_string())
