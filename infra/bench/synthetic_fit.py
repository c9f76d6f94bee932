"""The shape of a real log: what `synthetic.py` estimates with `--fit FOLDER`."""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.sparse import csr_matrix, diags
from synthetic_shape import DAY, Events, Ints, Shape, crowd, gini, pull

from ray_tasks.benchmark.data import ALIASES, INTERACTIONS
from schemas.errors import SourceError

SITTING = 6 * 3_600
"""Seconds without an event that end a sitting."""
CURVE = ("exponent", "shift", "ending")
"""What `synthetic_shape.pull` takes from a shape."""
RATED = ("rating", "stars", "overall", "score")
MOVIELENS = ["user_id", "item_id", "rating", "timestamp"]
"""Columns of MovieLens' `ratings.dat`, which has no header."""


def read_events(folder: Path) -> Events:
    """The interactions of a folder: Parquet, CSV, or MovieLens' `.dat`; times in Unix seconds.

    Raises SourceError when a file or a column is not found.
    """
    found = [folder / f"{name}{end}" for name in INTERACTIONS for end in (".parquet", ".csv", ".dat")]
    path = next((path for path in found if path.exists()), None)
    if path is None:
        raise SourceError(f"expected one of {', '.join(path.name for path in found)} in {folder}")
    if path.suffix == ".dat":
        frame = pd.read_csv(path, sep="::", engine="python", header=None, names=MOVIELENS)
    else:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    frame.columns = frame.columns.str.lower()
    names = {"user": ALIASES["user_id"], "item": ALIASES["item_id"], "time": ALIASES["timestamp"], "rating": RATED}
    columns = {ours: next((name for name in theirs if name in frame), "") for ours, theirs in names.items()}
    if "" in columns.values():
        lacking = [f"{ours} ({', '.join(names[ours])})" for ours, name in columns.items() if not name]
        raise SourceError(f"{path}: no column for {'; '.join(lacking)}; found {', '.join(map(str, frame.columns))}")
    user, item = (pd.factorize(frame[columns[name]], sort=True)[0].astype(np.int64) for name in ("user", "item"))
    time, rating = frame[columns["time"]].to_numpy(np.int64), frame[columns["rating"]].to_numpy(np.float64)
    return Events(user, item, rating, time)


def fit(log: Events) -> Shape:
    """The shape of a log: each marginal estimated by itself, to four digits.

    `growth`, `clusters` and `favourites` stay at their defaults: see `Shape`.
    """
    per_user, per_item = np.bincount(log.user), np.bincount(log.item)
    least = int(per_user.min())
    beyond = gini(per_user - least)
    curved = _choices(log, per_item, per_user)
    shape = replace(
        curved,
        events_per_user=float(per_user.mean()),
        least=least,
        activity=-math.log(2) / math.log(1 - beyond),  # Gini of a Weibull distribution: 1 - 2 ** (-1 / exponent)
        items_per_million=len(per_item) * (len(log.user) / 1e6) ** -Shape().growth,
        new_share=_new_share(log, per_item),
        drift=_drift(log, per_item, per_user, curved),
        **_visits(log, per_user),
        **_ratings(log),
    )
    return rounded(shape)


def rounded(shape: Shape) -> Shape:
    """A shape to four significant digits."""
    values = {field.name: getattr(shape, field.name) for field in fields(shape)}
    return Shape(**{name: _short(value) for name, value in values.items()})


def _short(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(round(part, 3) for part in value)
    return value if isinstance(value, int) else float(f"{value:.4g}")


def _choices(log: Events, per_item: Ints, per_user: Ints) -> Shape:
    """The curve of pull and the tastes, one after the other: each shows less where the other has used up the items."""
    found, shape = _likeness(log, Shape().clusters), Shape()
    for _ in range(2):
        shape = replace(shape, **_popularity(per_item, per_user, shape))
        weights = pull(shape, len(per_item))

        def excess(taste: float, shape: Shape = shape, weights: NDArray[np.float64] = weights) -> float:
            return crowd(replace(shape, taste=taste), weights, per_user).likeness(weights, shape.clusters) - found

        shape = replace(shape, taste=brentq(excess, 0, 0.9, xtol=1e-3) if excess(0.9) > 0 else 0.9)
    return replace(shape, **_popularity(per_item, per_user, shape))


def _popularity(per_item: Ints, per_user: Ints, tastes: Shape) -> dict[str, float]:
    """The curve of pull by least squares on square roots of counts, whose noise is the same at each rank."""
    seen = np.sqrt(np.sort(per_item)[::-1])

    def distance(logs: NDArray[np.float64]) -> float:
        shape = replace(tastes, **dict(zip(CURVE, np.exp(logs).tolist(), strict=True)))
        weights = pull(shape, len(seen))
        return float(((np.sqrt(crowd(shape, weights, per_user).takers(weights)) - seen) ** 2).sum())

    simplex = np.log([0.6, 0.003, 1.5]) + np.vstack([np.zeros(3), np.eye(3) * 0.5])
    steps = {"initial_simplex": simplex, "xatol": 0.01, "fatol": 0.5, "maxfev": 150}
    found = minimize(distance, simplex[0], method="Nelder-Mead", options=steps)
    return dict(zip(CURVE, np.exp(found.x).tolist(), strict=True))


def _new_share(log: Events, per_item: Ints) -> float:
    """Share of the last tenth of the events with items first seen in it, less what a fixed catalogue would show.

    In a log of few events per item it is too high by those that were born before and not seen yet.
    """
    order = np.argsort(log.time, kind="stable")
    cut = len(order) - len(order) // 10
    known = np.zeros(len(per_item), dtype=bool)
    known[log.item[order[:cut]]] = True
    by_chance = float(per_item @ 0.1**per_item) / (len(order) - cut)
    return float(np.clip((~known[log.item[order[cut:]]]).mean() - by_chance, 0, 0.2))


def _drift(log: Events, per_item: Ints, per_user: Ints, shape: Shape) -> float:
    """From the counts in the first and last third of the events, less the noise of counting.

    The thirds' middles are two thirds of the log apart. What many users have grows less than its pull does.
    """
    order = np.argsort(log.time, kind="stable")
    third = len(order) // 3
    early, late = (np.bincount(log.item[part], minlength=len(per_item)) for part in (order[:third], order[-third:]))
    enough = (early >= 50) & (late >= 50)
    if enough.sum() < 10:
        return shape.drift
    weights = pull(shape, len(per_item))
    response = crowd(shape, weights, per_user).elasticity(weights)[np.argsort(np.argsort(-per_item))][enough]
    early, late = early[enough], late[enough]
    variance = np.log(late / early).var() - (1 / early + 1 / late).mean()
    return math.sqrt(max(float(variance / (response**2).mean()), 0.0)) * 1.5


def _visits(log: Events, per_user: Ints) -> dict[str, Any]:
    """When users come, whether and after how long they come back, and how fast they go on."""
    start, span = log.time.min(), max(int(np.ptp(log.time)), 1)
    order = np.lexsort((log.time, log.user))
    user, time = log.user[order], log.time[order]
    first = np.r_[True, user[1:] != user[:-1]]
    gap, owner = np.diff(time)[~first[1:]], user[1:][~first[1:]]
    long = gap > SITTING
    joins = np.quantile((time[first] - start) / span, np.linspace(0, 1, 11))
    found = {"days": math.ceil(span / DAY), "joins": tuple(map(float, joins)), "returning": 0.0}
    short = gap[~long]
    if len(short):
        found |= {"step": max(float(short.mean()), 0.1), "ties": min(float((short == 0).mean()), 0.99)}
    if long.any():
        logs = np.log(gap[long] / DAY)
        found |= {"gap_days": float(np.exp(np.median(logs))), "gap_sigma": float(logs.std())}
        found |= _returns(per_user - 1, np.bincount(owner[long], minlength=len(per_user)))
    return found


def _returns(chances: Ints, gaps: Ints) -> dict[str, float]:
    """Share of users who return, and how often: some of them have too few events to show it.

    With p the probability of a gap, returning x sum(1 - (1 - p) ** chances) users show one, and in all there are
    returning x p x sum(chances).
    """
    each = gaps.sum() / (gaps > 0).sum()

    def excess(p: float) -> float:
        return float(p * chances.sum() / (1 - (1 - p) ** chances).sum()) - each

    pause = brentq(excess, 1e-6, 1 - 1e-6) if excess(1e-6) < 0 < excess(1 - 1e-6) else gaps.sum() / chances.sum()
    return {"pause": float(pause), "returning": float(min(gaps.sum() / (pause * chances.sum()), 1.0))}


def _likeness(log: Events, clusters: int) -> float:
    """How much more often than by chance two items of one user are of one cluster: `Crowd.likeness`, seen.

    Clusters come from the users of even position (k-means on the factors of users x items, the first factor, which is
    popularity, left out) and are looked at in those of odd position: what is noise there does not count as taste.
    """
    from sklearn.cluster import KMeans
    from sklearn.utils.extmath import randomized_svd

    items, even = int(log.item.max()) + 1, log.user % 2 == 0
    pairs = csr_matrix((np.ones(even.sum()), (log.user[even] // 2, log.item[even])))
    pairs.resize(pairs.shape[0], items)
    scale = [diags(1 / np.sqrt(np.maximum(pairs.sum(axis).A1, 1))) for axis in (1, 0)]
    _, _, factors = randomized_svd(scale[0] @ pairs @ scale[1], clusters, n_iter=2, random_state=0)
    vectors = factors[1:].T / np.maximum(np.linalg.norm(factors[1:].T, axis=1, keepdims=True), 1e-9)
    cluster = KMeans(clusters, n_init=1, max_iter=50, random_state=0).fit_predict(vectors)
    counts = np.zeros((int(log.user.max()) // 2 + 1, clusters))
    np.add.at(counts, (log.user[~even] // 2, cluster[log.item[~even]]), 1)
    n = counts.sum(1)
    counts, n = counts[n > 1], n[n > 1]
    same = ((counts * (counts - 1)).sum(1) / (n * (n - 1))).mean()
    base = ((counts / n[:, None]).mean(0) ** 2).sum()
    return max(float((same - base) / (1 - base)), 0.0)


def _ratings(log: Events) -> dict[str, Any]:
    """Shares of the ratings from 1 on, half stars rounded up, and of the variance between items and between users."""
    stars = np.clip(np.ceil(log.rating), 1, None).astype(np.int64)
    shares = np.maximum(np.bincount(stars)[1:] / len(stars), 0.001)
    total = max(float(log.rating.var()), 1e-9)
    between = {}
    for name, of in (("rating_item", log.item), ("rating_user", log.user)):
        n = np.maximum(np.bincount(of), 1)
        means = np.bincount(of, log.rating) / n
        explained = float(((means - log.rating.mean()) ** 2 @ n) / len(of))
        # The means' own noise explains some, too: the rest of the variance once per group.
        between[name] = max(explained - (total - explained) * len(n) / len(of), 0.0) / total
    return {"ratings": tuple(map(float, shares / shares.sum())), **between}
