"""The learned ranker: LightGBM lambdarank that corrects reciprocal-rank fusion.

Boosting starts from the fusion score, so that few trees mean a list close to fusion. How many pay is found by
cross-validation over users inside the validation window; a small window settles for few, or none.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Floats, Ints
from ray_tasks.ranker.features import NAMES, Lists, features, floors, fusion
from schemas.ranking_config import Ranking

FUSION_WEIGHT = 30.0
"""Turns fusion scores (at most one 61st per source) into raw scores that a few trees can overcome but one cannot."""
CHECKPOINTS = (0, 1, 3, 10, 25, 50, 75, 100, 150, 200, 250, 300)
FOLDS = 5
LABEL_WEIGHT = "label_weight"
"""Column of lists to learn from: how much a hit counts, 1 for what no list was in the way of."""
GLANCE = 50
"""Trees of the first booster that score every candidate."""
DEPTHS = (150, 120, 100)
"""Candidates of a user that the first booster scores then, and those that each other one does; the last for the rest.
"""


@dataclass(frozen=True)
class Ranker:
    """Scores candidate rows by the mean of `models`, LightGBM's text forms; without any, fusion alone.

    `names` are the features that the models take, of all that `features` makes.
    """

    models: tuple[str, ...] = ()
    names: tuple[str, ...] = NAMES

    def score(self, lists: Lists) -> Floats:
        """A score per row; higher is better. For users without a history see `first_order`."""
        learned = FUSION_WEIGHT * fusion(lists)
        if self.models and len(lists):
            learned = self._learned(lists, learned)
        return np.where(lists.column("user_count") > 0, learned, first_order(lists))

    def _learned(self, lists: Lists, fused: Floats) -> Floats:
        """Scores by the mean of all boosters for the candidates of each user that the first of them like best.

        Prediction is most of what ranking costs, and boosters differ in the users and the candidates that they learnt
        from, not in what they learnt: what the first trees of one of them put below 150 others is in no list of twenty,
        nor what two of them put below 100. It stays below these, in the order of those that scored it.
        """
        values, user = features(lists, self.names), lists.user_of
        scores = fused + self._boosters[0].predict(values, num_iteration=GLANCE, num_threads=1)
        sums, kept = np.zeros(len(scores)), np.ones(len(scores), dtype=bool)
        left: list[tuple[NDArray[np.bool_], Floats, Floats]] = []
        for number, booster in enumerate(self._boosters):
            rough = np.where(kept, scores, -np.inf)
            floor = floors(lists, rough, DEPTHS[min(number, len(DEPTHS) - 1)])[user]
            left.append((kept, scores, floor))
            kept = kept & (rough >= floor)
            sums[kept] += booster.predict(values[kept], num_threads=1)
            scores = np.where(kept, fused + sums / (number + 1), scores)
        for candidates, rough, floor in reversed(left):
            out = candidates & ~kept
            least = np.minimum.reduceat(np.where(kept, scores, np.inf), lists.starts)[user]
            scores[out] = np.nextafter(least[out], -np.inf) + (rough[out] - floor[out])
            kept = candidates
        return scores

    def trees(self, values: NDArray[np.float32]) -> Floats:
        """What the trees add to the fusion score of each row of features."""
        parts = [booster.predict(values, num_threads=1) for booster in self._boosters]
        return np.asarray(np.mean(parts, axis=0), dtype=np.float64)

    @cached_property
    def _boosters(self) -> list[Any]:
        import lightgbm

        return [lightgbm.Booster(model_str=model) for model in self.models]

    def importance(self) -> dict[str, float]:
        """Share of each feature in the trees' gain, largest first."""
        if not self.models:
            return {}
        gain = np.sum([booster.feature_importance("gain") for booster in self._boosters], axis=0)
        shares = gain / max(gain.sum(), 1e-12)
        order = np.argsort(-shares, kind="stable")
        return {self.names[index]: round(float(shares[index]), 4) for index in order if shares[index] > 0}

    def reasons(self, lists: Lists, rows: Ints, most: int = 5) -> list[dict[str, float]]:
        """SHAP values of some rows (Lundberg et al. 2020, by LightGBM): the features that moved each score most."""
        if not self.models or not len(rows):
            return [{} for _ in rows]
        values = features(lists, self.names)[rows]
        parts = np.mean([b.predict(values, pred_contrib=True, num_threads=1) for b in self._boosters], axis=0)
        return [
            {self.names[i]: round(float(row[i]), 4) for i in np.argsort(-np.abs(row), kind="stable")[:most]}
            for row in parts[:, :-1]
        ]


def first_order(lists: Lists) -> Floats:
    """Scores for users without a history: first what is near to what they said they like, then what newcomers take.

    Without the source `newcomers` what is popular takes its place. Counts become negative, in the same order.
    """
    newcomers, stated = lists.column("newcomers_score"), lists.column("stated_score")
    popular = np.where(np.isnan(newcomers), lists.column("popularity_score"), newcomers)
    return np.where(np.isnan(stated), -1 / (1 + popular), stated)


@dataclass(frozen=True)
class Training:
    """Candidate lists of the validation window as the trees see them, with the named features.

    `weight` says how much each row counts, None where all count alike: see `label_weights`.
    """

    lists: Lists
    values: NDArray[np.float32]
    start: Floats
    label: Ints
    names: tuple[str, ...] = NAMES
    weight: Floats | None = None

    @classmethod
    def of(cls, lists: Lists, names: tuple[str, ...] = NAMES) -> "Training":
        """Features, starting scores and labels of labelled lists."""
        label = lists.column("label").astype(np.int64)
        weight = lists.column(LABEL_WEIGHT) if LABEL_WEIGHT in lists.table.schema.names else None
        return cls(lists, features(lists, names), FUSION_WEIGHT * fusion(lists), label, names, weight)

    def booster(self, users: NDArray[np.bool_], settings: Ranking, seed: int) -> Any:
        """An untrained booster on the lists of some users; lists without a hit teach nothing and are left out.

        Of a list's other candidates about `settings.negatives` are drawn: the ranker then learns what sets a hit apart
        from any candidate, not only from the few above it, and ranks better for less work (ADR 0019).
        """
        import lightgbm

        hits = np.add.reduceat(self.label, self.lists.starts)
        learning = users & (hits > 0)
        share = settings.negatives / np.maximum(self.lists.lengths, 1)
        drawn = np.random.default_rng(seed).random(len(self.label)) < share[self.lists.user_of]
        rows = learning[self.lists.user_of] & (drawn | (self.label > 0))
        data = lightgbm.Dataset(
            self.values[rows],
            self.label[rows],
            group=np.bincount(self.lists.user_of[rows], minlength=len(self.lists))[learning],
            init_score=self.start[rows],
            weight=None if self.weight is None else self.weight[rows],
            feature_name=list(self.names),
            params={"verbose": -1},
        )
        return lightgbm.Booster(parameters(settings, seed, self.names), data)


def parameters(settings: Ranking, seed: int, names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """LightGBM's parameters: the same lists and seed give the same trees.

    A better rank in a source's list never lowers a score, all else equal: without that, few users teach oddities.
    """
    return {
        "monotone_constraints": [int(name == "fusion" or name.endswith("_reciprocal_rank")) for name in names],
        "feature_fraction": settings.feature_share,
        "objective": "lambdarank",
        "lambdarank_truncation_level": 20,
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "max_bin": 127,
        "min_data_in_leaf": 50,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbose": -1,
    }


@dataclass(frozen=True)
class Folds:
    """One booster per fold of users, trained on the others; together they are the ranker.

    Serving their mean instead of one refit costs nothing and steadies a ranker that learns from few users.
    """

    training: Training
    fold: Ints
    boosters: tuple[Any, ...]

    @classmethod
    def of(cls, training: Training, settings: Ranking, seed: int) -> "Folds":
        """Untrained boosters; folds are of whole users, so that no list is on both sides."""
        fold = np.random.default_rng(seed).permutation(len(training.lists)) % FOLDS
        return cls.by(training, fold, settings, seed)

    @classmethod
    def by(cls, training: Training, fold: Ints, settings: Ranking, seed: int) -> "Folds":
        """Untrained boosters for given folds of the lists. Each draws other candidates: their mean has seen more."""
        return cls(training, fold, tuple(training.booster(fold != n, settings, seed + n) for n in range(FOLDS)))

    def out_of_fold(self, most_trees: int) -> dict[int, Floats]:
        """Every row's score by the booster that did not see its user, by number of trees."""
        scores = {trees: self.training.start.copy() for trees in CHECKPOINTS if trees <= most_trees}
        # One thread per booster, boosters side by side: deterministic, and threads do not wait for each other.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for rows, steps in pool.map(partial(self._grow, checkpoints=tuple(scores)), range(FOLDS)):
                for trees, values in steps.items():
                    scores[trees][rows] += values
        return scores

    def _grow(self, number: int, checkpoints: tuple[int, ...]) -> tuple[NDArray[np.bool_], dict[int, Floats]]:
        booster, rows = self.boosters[number], (self.fold == number)[self.training.lists.user_of]
        booster.reset_parameter({"verbosity": -1})  # LightGBM keeps what it may print by thread, and this one is new
        while booster.current_iteration() < checkpoints[-1] and not booster.update():
            pass  # update() is true when no split is left to make
        values = self.training.values[rows]
        found, so_far = {}, np.zeros(len(values))
        for before, trees in pairwise(checkpoints):
            so_far = so_far + booster.predict(
                values, start_iteration=before, num_iteration=trees - before, num_threads=1
            )
            found[trees] = so_far
        return rows, found

    def ranker(self, trees: int) -> Ranker:
        """The ranker with a number of trees per booster."""
        models = tuple(b.model_to_string(num_iteration=trees) for b in self.boosters) if trees else ()
        return Ranker(models, self.training.names)
