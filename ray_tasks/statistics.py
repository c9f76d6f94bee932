"""F1, AUC and shares with bootstrap 95% intervals. The same draws for every arm, so that differences are paired."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

DRAWS = 1_000
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95% interval, the rows that it rests on, and its value in every draw."""

    value: float
    low: float
    high: float
    n: int
    draws: Array


@dataclass(frozen=True)
class Figure:
    """One figure of one arm."""

    arm: str
    kind: str
    task: str
    metric: str
    estimate: Estimate


def draws(n: int, seed: int) -> Array:
    """(DRAWS, n): how often each row is drawn, with replacement."""
    if n == 0:
        return np.zeros((DRAWS, 0))
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(float)


def estimate(n: int, seed: int, value: Callable[[Array], Array]) -> Estimate:
    """`value` maps row weights (draws, n) to figures (draws,); its value at weights of one is the estimate."""
    found = value(draws(n, seed))
    low, high = np.nanpercentile(found, [2.5, 97.5]) if np.isfinite(found).any() else (np.nan, np.nan)
    point = float(value(np.ones((1, n)))[0]) if n else float("nan")
    return Estimate(point, float(low), float(high), n, found)


def mean(values: Sequence[float] | Array, seed: int) -> Estimate:
    """Mean of one number per row."""
    rows = np.asarray(values, dtype=float)
    return estimate(len(rows), seed, lambda weights: weights @ rows / np.maximum(weights.sum(1), 1))


def micro_f1(predicted: Array, gold: Array, seed: int) -> Estimate:
    """F1 over all labels of all rows; both are boolean (rows, labels)."""
    right, either = (predicted & gold).sum(1), predicted.sum(1) + gold.sum(1)
    return estimate(len(gold), seed, lambda weights: _f1(weights @ right, weights @ either))


def macro_f1(predicted: Array, gold: Array, seed: int) -> Estimate:
    """Mean over labels of each label's F1, over the labels that some right answer holds."""
    used = gold.any(0)
    right, either = (predicted & gold)[:, used].astype(float), (predicted.astype(float) + gold)[:, used]

    def value(weights: Array) -> Array:
        present = weights @ gold[:, used] > 0  # a draw can lack a label altogether
        return np.where(present, _f1(weights @ right, weights @ either), 0).sum(1) / np.maximum(present.sum(1), 1)

    return estimate(len(gold), seed, value)


def auc(scores: Sequence[float] | Array, positive: Sequence[bool] | Array, seed: int) -> Estimate:
    """Probability that a positive row scores above a negative one, ties counted half."""
    given, wanted = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)

    def value(weights: Array) -> Array:
        return np.array([_auc(np.repeat(given, row), np.repeat(wanted, row)) for row in weights.astype(int)])

    return estimate(len(given), seed, value)


def _f1(right: Array, either: Array) -> Array:
    return np.divide(2 * right, either, out=np.zeros(np.shape(right)), where=either > 0)


def _auc(scores: Array, positive: Array) -> float:
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - n * (n + 1) / 2) / (n * m))
