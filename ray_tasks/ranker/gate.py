"""Which model serves: decided inside the validation window, on users with a history, by cross-validated NDCG@10.

Users without a history get the same list from every model, so they say nothing about the choice.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_tasks.interactions.metrics import beats, ndcg
from ray_tasks.interactions.rows import Floats, Ints, Rows
from ray_tasks.ranker.calibration import Calibration
from ray_tasks.ranker.features import NAMES, Lists, fusion
from ray_tasks.ranker.ranked_lists import positions, source_scores
from ray_tasks.ranker.trees import FOLDS, Folds, Ranker, Training, first_order
from schemas.ranking_config import Ranking

log = logging.getLogger("nightrec.ranking")


@dataclass(frozen=True)
class Decision:
    """The model that serves, `ranker` or a source's name; the ranker's trees; NDCG@10 of each; the reason in words."""

    serving: str
    trees: int
    ndcg: dict[str, float]
    reason: str


@dataclass(frozen=True)
class ServingModel:
    """What ranks candidates after the gate, and what its scores mean as probabilities.

    `folds_by_id`: the n-th trees were learnt without the users of fold n of `fold_of`, so that it can be said of any
    user on any night which trees have not seen them.
    """

    ranker: Ranker
    decision: Decision
    calibration: Calibration = field(default_factory=Calibration)
    folds_by_id: bool = False

    def score(self, lists: Lists) -> Floats:
        """A score per candidate row; NaN for rows that the serving source does not propose."""
        if self.decision.serving == "ranker":
            return self.ranker.score(lists)
        by_source = source_scores(lists, self.decision.serving)
        return np.where(lists.column("user_count") > 0, by_source, first_order(lists))

    def probability(self, scores: Floats) -> Floats:
        """How likely each of these scores is a take; NaN where nothing was learnt."""
        return self.calibration.probability(scores)

    def chances(self, lists: Lists, scores: Floats) -> Floats:
        """The probability of each candidate row; NaN too for users without a history, of whom nothing was learnt."""
        return np.where(lists.column("user_count") > 0, self.probability(scores), np.nan)

    @property
    def has_unseen(self) -> bool:
        """True if `score_unseen` can be told."""
        return self.folds_by_id or self.decision.serving != "ranker" or not self.ranker.models

    def score_unseen(self, lists: Lists) -> Floats:
        """As `score`, each user by the trees that were learnt without them: what the model knows, not what it recalls.

        A later night's lists hold many users that the model was learnt from.
        """
        assert self.has_unseen
        if self.decision.serving != "ranker" or not self.ranker.models:
            return self.score(lists)
        scores, fold = np.full(lists.table.num_rows, np.nan), fold_of(lists.user_ids)[lists.user_of]
        for number, trees in enumerate(self.ranker.models):
            rows = fold == number
            part = Lists.of(lists.table.filter(pa.array(rows)))
            scores[rows] = replace(self.ranker, models=(trees,)).score(part)
        return scores


@dataclass(frozen=True)
class Learnt:
    """A new model, and NDCG@10 per user of the lists: its own, out of fold, and that of the best single source.

    Both are empty where too few users took a candidate to learn anything. `unseen` scores every row of the lists, each
    user's by trees that have not seen the user.
    """

    model: ServingModel
    quality: Floats
    source_quality: Floats
    unseen: Floats


def fold_of(user_ids: NDArray[Any]) -> Ints:
    """The fold of each user, by a hash of the id: the same on every night, for ever."""
    digests = (hashlib.sha256(str(user).encode()).digest() for user in user_ids)
    return np.array([int.from_bytes(digest[:8], "big") % FOLDS for digest in digests], dtype=np.int64)


def fit(
    lists: Lists,
    targets: Rows,
    item_ids: NDArray[np.object_],
    settings: Ranking,
    seed: int,
    names: tuple[str, ...] = NAMES,
) -> Learnt:
    """Train and gate on validation lists; row r of `targets` is what the r-th user of `lists` took.

    `names` are the features that the trees may use.
    """
    label = lists.column("label")
    learnable = np.unique(lists.user_of[label > 0])
    if len(learnable) < 2 * FOLDS:
        reason = f"fusion without trees: only {len(learnable)} users with a history took a candidate"
        untaught = ServingModel(Ranker(), Decision("ranker", 0, {}, reason))
        return Learnt(untaught, np.zeros(0), np.zeros(0), untaught.score(lists))
    folds, by_id = _folds(Training.of(lists, names), learnable, settings, seed)

    def quality(scores: Floats) -> Floats:
        return ndcg(positions(lists, scores, 10, item_ids), targets)

    unseen = folds.out_of_fold(settings.trees)
    by_trees = {trees: quality(out) for trees, out in unseen.items()}
    sources = {source: quality(source_scores(lists, source)) for source in lists.sources}
    decision = decide(by_trees, sources, quality(fusion(lists)))
    log.info("gate: %s (%s)", decision.serving, decision.reason)
    by_ranker = decision.serving == "ranker"
    scores = unseen[decision.trees] if by_ranker else source_scores(lists, decision.serving)
    model = ServingModel(folds.ranker(decision.trees), decision, Calibration.of(scores, label), by_id)
    best = max(sources.values(), key=lambda values: values.mean())
    return Learnt(model, by_trees[decision.trees] if by_ranker else sources[decision.serving], best, scores)


def _folds(training: Training, learnable: Ints, settings: Ranking, seed: int) -> tuple[Folds, bool]:
    """Folds by user id where each of them holds users to learn from; else drawn ones, and False."""
    fold = fold_of(training.lists.user_ids)
    if np.bincount(fold[learnable], minlength=FOLDS).min() < 2:
        return Folds.of(training, settings, seed), False
    return Folds.by(training, fold, settings, seed), True


def decide(by_trees: Mapping[int, Floats], sources: Mapping[str, Floats], fused: Floats) -> Decision:
    """From NDCG@10 per user: the number of trees that is best on average, and the ranker unless a source beats it.

    Trees need not beat fusion by more than noise. On a small window they rarely can, and without them every source has
    the same say, however weak: that risk is the greater one (ADR 0019).
    """
    trees = max(by_trees, key=lambda trees: (by_trees[trees].mean(), -trees))
    rival = max(sources, key=lambda source: sources[source].mean())
    lost = beats(sources[rival], by_trees[trees])
    means = {"ranker": by_trees[trees], "fusion": fused, **sources}
    difference = by_trees[trees].mean() - sources[rival].mean()
    reason = (
        f"cross-validated NDCG@10 with {trees} trees is {difference:+.4f} against {rival}, the best single source; "
        + ("more than noise: that source serves" if lost else "not worse by more than noise: the ranker serves")
    )
    shown = {model: round(float(values.mean()), 6) for model, values in means.items()}
    return Decision(rival if lost else "ranker", trees, shown, reason)
