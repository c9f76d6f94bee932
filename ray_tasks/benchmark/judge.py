"""How lists are judged: accuracy per user, and what a set of lists does to the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.benchmark.blend import K
from ray_tasks.interactions.metrics import mrr, ndcg, recall
from ray_tasks.interactions.rows import Floats, Ints, Rows
from ray_tasks.interactions.windows import Window
from ray_tasks.retrieval.candidate_blocks import Catalogue
from ray_tasks.retrieval.popularity import counts
from ray_tasks.retrieval.text_similarity import Vectors
from ray_tasks.statistics import mean

CUT = 10
FEWEST = 30
"""Users of a group that is compared with others."""
ACTIVITY = {"1-5 items": (1, 5), "6-20 items": (6, 20), "over 20 items": (21, np.inf)}


@dataclass(frozen=True)
class Judge:
    """A window's users with their targets, and what is known of the items and of the users.

    `attributes` are user attributes by name, one label per user of the log ("" if unknown).
    """

    view: Window
    vectors: Vectors
    catalogue: Catalogue | None = None
    attributes: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)

    @cached_property
    def known(self) -> Floats:
        """Interactions per item in the window's history."""
        return counts(self.view.log)

    def metrics(self, ranked: Ints) -> dict[str, float]:
        """Means over users, and coverage of the catalogue, of lists (users, K); every metric's cut is in its name.

        `novelty`: mean of -log2 of an item's share of all interactions (Zhou et al. 2010). `diversity`: mean of 1 -
        cosine over the pairs of a list. `popularity_percentile`: mean rank of an item by interactions, 1 the most.
        """
        targets = self.targets
        top = ranked[:, :CUT]
        offered = len(ranked) and int((self.catalogue if self.catalogue is not None else self.known >= 0).sum())
        return {
            "ndcg@10": float(ndcg(ranked, targets).mean()),
            "recall@20": float(recall(ranked, targets).mean()),
            "mrr@20": float(mrr(ranked, targets).mean()),
            "coverage@10": len(np.unique(top[top >= 0])) / max(offered, 1),
            "novelty@10": _mean(self._surprise[top], top),
            "popularity_percentile@10": _mean(self._percentile[top], top),
            "diversity@10": float(np.nanmean(found))
            if np.isfinite(found := self._diversity(top)).any()
            else float("nan"),
        }

    @property
    def targets(self) -> Rows:
        """What the users took."""
        assert self.view.targets is not None
        return self.view.targets

    def slices(self, ranked: Ints) -> dict[str, dict[str, float]]:
        """NDCG@10 or (for items) Recall@20 on parts of users and targets, with how many users each has."""
        lengths, gains = self.view.history.lengths, ndcg(ranked, self.targets)
        users = {"new users": lengths == 0, "warm users": lengths > 0}
        users |= {
            name: (lengths >= low) & (lengths <= (high or lengths.max(initial=0)))
            for name, (low, high) in ACTIVITY.items()
        }
        users |= {f"{name}={label}": mask for name, groups in self.groups.items() for label, mask in groups.items()}
        found = {n: {"users": int(m.sum()), "ndcg@10": float(gains[m].mean())} for n, m in users.items() if m.any()}
        for name, items in (("new items", self.known == 0), ("warm items", self.known > 0)):
            part = of_items(self.targets, items)
            asked = part.lengths > 0
            if asked.any():
                found[name] = {"users": int(asked.sum()), "recall@20": float(recall(ranked, part)[asked].mean())}
        return found

    @cached_property
    def groups(self) -> dict[str, dict[str, NDArray[np.bool_]]]:
        """By attribute and label, in the order of the labels, which users bear it; the unknown are in no group."""
        places = np.searchsorted(self.view.log.user_ids, self.view.user_ids)
        borne = {name: labels[places] for name, labels in self.attributes.items()}
        return {name: {str(one): found == one for one in np.unique(found) if one} for name, found in borne.items()}

    def fairness(self, ranked: Ints, seed: int) -> dict[str, dict[str, Any]]:
        """By attribute the groups that are served best and worst, of those with at least FEWEST users.

        `difference` is between their NDCG@10, with a bootstrap 95% interval: users are drawn with replacement within
        each group. The two were picked for being extremes, so among many groups the interval is too sure of itself.
        """
        gains = ndcg(ranked, self.targets)
        found = {}
        for name, groups in self.groups.items():
            members = {label: gains[mask] for label, mask in groups.items() if mask.sum() >= FEWEST}
            if len(members) < 2:
                continue
            means = {label: float(values.mean()) for label, values in members.items()}
            best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
            found[name] = {
                "groups": len(means),
                "best": best,
                "best_ndcg@10": means[best],
                "worst": worst,
                "worst_ndcg@10": means[worst],
                "difference": _difference(members[best], members[worst], seed),
            }
        return found

    @cached_property
    def _surprise(self) -> Floats:
        return -np.log2(np.maximum(self.known, 1) / max(self.known.sum(), 1))

    @cached_property
    def _percentile(self) -> Floats:
        order = np.sort(self.known)
        return np.searchsorted(order, self.known, side="right") / max(len(order), 1)

    def _diversity(self, top: Ints) -> Floats:
        vectors = np.where((top >= 0)[..., None], self.vectors[top], 0)
        present = vectors.any(axis=2).sum(axis=1)
        total = vectors.sum(axis=1)
        alike = ((total**2).sum(axis=1) - present) / np.maximum(present * (present - 1), 1)
        return np.where(present > 1, 1 - alike, np.nan)


def _difference(one: Floats, other: Floats, seed: int) -> dict[str, float]:
    """Of the means of two groups of different users, with a bootstrap 95% interval."""
    first, second = mean(one, seed), mean(other, seed + 1)
    low, high = np.percentile(first.draws - second.draws, [2.5, 97.5])
    return {"value": first.value - second.value, "low": float(low), "high": float(high)}


def of_items(targets: Rows, items: Catalogue) -> Rows:
    """The targets among some items; users keep their places."""
    kept = items[targets.items]
    return Rows.of(targets.row_of[kept], targets.items[kept], len(targets))


def _mean(values: Floats, top: Ints) -> float:
    return float(values[top >= 0].mean()) if (top >= 0).any() else float("nan")


def lift(one: Floats, other: Floats, weights: Floats) -> dict[str, Any]:
    """Relative difference of two models' means over the same users, with a paired bootstrap 95% interval.

    `weights` are `statistics.draws` of the users. `p` is the two-sided share of draws on the other side of no
    difference.
    """
    point = one.mean() / other.mean() - 1 if other.mean() else float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (weights @ one) / (weights @ other) - 1
    low, high = np.nanpercentile(found, [2.5, 97.5]) if len(one) else (np.nan, np.nan)
    beyond = min(float(np.mean(found <= 0)), float(np.mean(found >= 0)))
    return {"lift": float(point), "ci": [float(low), float(high)], "p": float(min(1, 2 * beyond + 1 / len(found)))}


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """P-values corrected for the number of comparisons (Holm 1979)."""
    corrected: dict[str, float] = {}
    worst = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        p = p_values[name]
        worst = max(worst, min(1.0, (len(p_values) - place) * p))
        corrected[name] = worst
    return corrected


def calibration_error(chances: Floats, taken: Floats, bins: int = 10) -> dict[str, Any]:
    """Expected calibration error over bins of equal counts, Brier score, and the reliability table."""
    known = ~np.isnan(chances)
    chances, taken = chances[known], taken[known].astype(float)
    if not len(chances):
        return {}
    parts = np.array_split(np.argsort(chances, kind="stable"), bins)
    table = [(float(np.mean(chances[p])), float(np.mean(taken[p])), len(p)) for p in parts if len(p)]
    error = sum(n * abs(said - was) for said, was, n in table) / len(chances)
    return {"ece": error, "brier": float(((chances - taken) ** 2).mean()), "reliability": table, "places": K}
