"""Does re-ranking help? Every arm on the same users against the ranker's order, NDCG@10, paired."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ray_tasks import statistics
from ray_tasks.interactions.metrics import hits, ndcg
from ray_tasks.interactions.rows import Floats, Ints, Rows
from ray_tasks.reranking.arms import Arm, Reranked, drawn_users, plan, rerank
from ray_tasks.reranking.fusion import best_weight, cross_fitted, fused, order

log = logging.getLogger("nightrec.reranking")

K = 10


@dataclass(frozen=True)
class Interval:
    """A mean over users and its 95% bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ArmOutcome:
    """One order of an arm: NDCG@10, its paired difference to the ranker's order, and what it cost.

    `blended` is False for the model's order alone, True for its fusion with the ranker's. `weight` is the model's
    share in a blend, tuned on all users, for use on others; the blend's own figures are cross-fitted, each half of the
    users with the weight of the other half, unless the weight was given. It is 1 for the model's order alone.
    `helps`: the lower end of the difference's interval is above 0, at 95% over all orders compared (Bonferroni).
    """

    arm: str
    blended: bool
    ndcg: Interval
    difference: Interval
    helps: bool
    weight: float
    tokens: int
    seconds: float
    position_bias: tuple[float, ...]

    @property
    def name(self) -> str:
        """The arm's name, and whether the ranker has a say."""
        return f"{self.arm}+ranker" if self.blended else self.arm


@dataclass(frozen=True)
class Outcome:
    """The comparison. `users` were compared, `asked` of them by the model: where no order changes NDCG none is asked.

    `chosen` is the order that may be in the default: of those that help the one with the best difference, the blend
    where both are equal; None if none helps.
    """

    ranker: Interval
    arms: tuple[ArmOutcome, ...]
    users: int
    asked: int
    chosen: ArmOutcome | None


def compare(
    arms: Sequence[Arm],
    targets: Rows,
    budget: int,
    seed: int,
    most: int | None = None,
    weights: Mapping[str, float] | None = None,
) -> Outcome:
    """Let every arm re-rank the same users and measure it; arms ask about the same lists.

    Row r of `targets` is what user r took next. Users are drawn by seed, at most `most`, until one arm's `budget`
    (tokens, for each arm) is spent; all are counted before the first is asked. A list without a target, or of targets
    alone, has the same NDCG in any order: it counts, but costs nothing. `weights` are the blends' by arm, found on
    other users; None tunes them on these.
    """
    lists = arms[0].questions.lists
    users = drawn_users(lists.open_to_change(), seed)[:most]
    open_ = decisive(lists.ranked, targets)
    plans = [plan(arm, users[open_[users]], budget) for arm in arms]
    asked = min((len(one.users) for one in plans), default=0)
    users = _until(users, open_, asked)
    log.info("re-ranking: %d users compared, %d of them asked about by each of %d arms", len(users), asked, len(arms))
    outcomes = []
    for arm, one in zip(arms, plans, strict=True):
        planned = one if len(one.users) == asked else plan(arm, one.users[:asked], budget)
        weight, found = (weights or {}).get(arm.name), rerank(arm, planned)
        outcomes += measured(arm.name, lists.ranked, targets, users, found, seed, 2 * len(arms), weight)
    ranker = _interval(ndcg(lists.ranked[users], targets.take(users), K), seed)
    return Outcome(ranker, tuple(outcomes), len(users), asked, _chosen(outcomes))


def decisive(ranked: Ints, targets: Rows) -> NDArray[np.bool_]:
    """Users whose NDCG depends on the order: some of their candidates are targets and some are not."""
    found = hits(ranked, targets).sum(axis=1)
    return (found > 0) & (found < (ranked >= 0).sum(axis=1))


def measured(
    name: str,
    ranked: Ints,
    targets: Rows,
    users: Ints,
    found: Reranked,
    seed: int,
    comparisons: int,
    weight: float | None = None,
) -> list[ArmOutcome]:
    """The model's own order and the blend with the ranker's, for the users compared; see `compare` for the weight."""
    ranked, scores, targets = ranked[users], found.scores[users], targets.take(users)
    alone = ndcg(order(ranked, scores), targets, K)
    if weight is None:
        blend, weight = cross_fitted(ranked, scores, targets, seed), best_weight(ranked, scores, targets)
    else:
        blend = ndcg(order(ranked, fused(scores, weight)), targets, K)
    before = ndcg(ranked, targets, K)

    def outcome(blended: bool, gains: Floats, share: float) -> ArmOutcome:
        difference = statistics.mean(gains - before, seed)
        floor = np.quantile(difference.draws, 0.025 / comparisons) if len(users) else 0.0
        cost = (found.tokens, found.seconds, found.position_bias)
        told = (_interval(gains, seed), _told(difference), bool(floor > 0))
        return ArmOutcome(name, blended, *told, share, *cost)

    return [outcome(False, alone, 1.0), outcome(True, blend, weight)]


def _until(users: Ints, open_: NDArray[np.bool_], asked: int) -> Ints:
    """The users drawn before the first whose turn never came."""
    late = np.flatnonzero(np.cumsum(open_[users]) > asked)
    return users[: late[0]] if len(late) else users


def _chosen(outcomes: Sequence[ArmOutcome]) -> ArmOutcome | None:
    helpful = [one for one in outcomes if one.helps]
    return max(helpful, key=lambda one: (one.difference.value, one.blended), default=None)


def _interval(values: Floats, seed: int) -> Interval:
    return _told(statistics.mean(values, seed))


def _told(found: statistics.Estimate) -> Interval:
    return Interval(found.value, found.low, found.high)
