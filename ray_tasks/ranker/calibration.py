"""From the ranker's scores to probabilities: isotonic regression on scores of users that the trees did not see.

A ranker's scores only order; a probability can be summed over users, held against a threshold, and checked
(Zadrozny and Elkan 2002).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Floats

MOST_STEPS = 200
"""Points of the curve that are kept."""


@dataclass(frozen=True)
class Calibration:
    """A rising curve through (score, probability) points; without points every probability is NaN."""

    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()

    @classmethod
    def of(cls, scores: Floats, labels: NDArray[Any]) -> "Calibration":
        """Learn from out-of-fold scores and whether each candidate was taken."""
        known = ~np.isnan(scores)
        if not known.any():
            return cls()
        from sklearn.isotonic import IsotonicRegression

        curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores[known], labels[known])
        at = np.unique(np.linspace(0, len(curve.X_thresholds_) - 1, MOST_STEPS).round().astype(int))
        return cls(tuple(curve.X_thresholds_[at].tolist()), tuple(curve.y_thresholds_[at].tolist()))

    def probability(self, scores: Floats) -> Floats:
        """How likely each candidate is taken within a window as long as the one learnt from; NaN stays NaN."""
        if not self.scores:
            return np.full(len(scores), np.nan)
        found = np.interp(np.nan_to_num(scores, nan=0.0), self.scores, self.probabilities)
        return np.where(np.isnan(scores), np.nan, found)
