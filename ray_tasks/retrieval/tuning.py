"""Tuning of the candidate sources: NDCG@10 on the validation window, every source fitted on train only."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ray_tasks.interactions.metrics import ndcg
from ray_tasks.interactions.rows import Rows
from ray_tasks.interactions.windows import Log, Window
from ray_tasks.retrieval.candidate_blocks import Users, proposals
from ray_tasks.retrieval.cooccurrence import Cooccurrence, fit_ease, fit_item_item
from ray_tasks.retrieval.popularity import RecentPopularity
from ray_tasks.retrieval.source import CandidateSource, SimilaritySource
from ray_tasks.retrieval.text_similarity import TextSimilarity, Vectors
from ray_tasks.retrieval.transitions import fit_transitions
from schemas.config import Candidates

log = logging.getLogger("nightrec.candidates")

Parameters = dict[str, float]
Grids = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class SourceFactory:
    """Fits any source on one log. What the sources share (co-occurrence, similarities) is computed once."""

    known: Log
    vectors: Vectors
    max_core_items: int

    @cached_property
    def together(self) -> Cooccurrence:
        """Co-occurrence counts of the log."""
        return Cooccurrence.count(self.known, self.max_core_items)

    def fit(self, name: str, parameters: Parameters) -> CandidateSource:
        """A source by name with its parameters."""
        if name == "popularity":
            return RecentPopularity.fit(self.known, parameters["days"])
        if name == "text":
            return TextSimilarity(self.vectors, parameters["half_life"])
        fit = {"ease": self._ease, "item_item": self._item_item, "transitions": self._transitions}[name]
        others = {key: value for key, value in parameters.items() if key != "half_life"}
        together = self.together
        return SimilaritySource(together.core, fit(**others), parameters["half_life"], together.n_items)

    @cached_property
    def _ease(self) -> Callable[..., Any]:
        return lru_cache(maxsize=1)(lambda l2: fit_ease(self.together, l2))

    @cached_property
    def _item_item(self) -> Callable[..., Any]:
        return lru_cache(maxsize=1)(
            lambda shrinkage, neighbours: fit_item_item(self.together, shrinkage, int(neighbours))
        )

    @cached_property
    def _transitions(self) -> Callable[..., Any]:
        histories = self.known.histories()
        return lru_cache(maxsize=1)(lambda steps: fit_transitions(histories, self.together.core, int(steps)))


def grids(settings: Candidates) -> dict[str, Grids]:
    """What is tried for each source. The half-life comes last: changing it needs no new fit."""
    half_life = {"half_life": settings.history_half_life}
    return {
        "popularity": {"days": settings.popularity_days},
        "ease": {"l2": settings.ease_l2, **half_life},
        "text": half_life,
        "item_item": {
            "neighbours": settings.item_item_neighbours,
            "shrinkage": settings.item_item_shrinkage,
            **half_life,
        },
        "transitions": {"steps": settings.transition_steps, **half_life},
    }


@dataclass(frozen=True)
class Tuned:
    """A source's best parameters and their NDCG@10 on the validation users they were tuned on."""

    parameters: Parameters
    ndcg: float


def tune(name: str, grid: Grids, factory: SourceFactory, window: Window, settings: Candidates) -> Tuned:
    """Coordinate search for one source; warns when the optimum lies on an edge of its grid."""

    def value(parameters: Parameters) -> float:
        found = quality(factory.fit(name, parameters), window, settings.block_size)
        return float(found.mean()) if len(found) else 0.0

    best = coordinate_search(grid, value)
    for key, at in best.parameters.items():
        if on_edge(key, grid[key], at):
            log.warning("source %s: best %s = %g lies on the edge of the values tried %s", name, key, at, grid[key])
    log.info("source %s: %s, NDCG@10 %.4f on %s users", name, best.parameters, best.ndcg, len(window.user_ids))
    return best


def coordinate_search(grid: Grids, value: Callable[[Parameters], float], sweeps: int = 2) -> Tuned:
    """From the middle of every grid, improve one coordinate after the other; ties keep the earlier value tried."""
    at = {key: float(values[len(values) // 2]) for key, values in grid.items()}
    seen: dict[tuple[float, ...], float] = {}

    def known(parameters: Parameters) -> float:
        key = tuple(parameters.values())
        if key not in seen:
            seen[key] = value(parameters)
        return seen[key]

    for _ in range(sweeps):
        before = dict(at)
        for key, values in grid.items():
            tried = [{**at, key: float(choice)} for choice in values]
            at = max([at, *tried], key=known)
        if at == before:
            break
    return Tuned(at, known(at))


def on_edge(key: str, values: Sequence[float], at: float) -> bool:
    """True if a better value may lie beyond the values tried.

    0 is a natural limit of every parameter, 1 of steps; a half-life of 0 stands for no decay, beyond all others.
    """
    ordered = sorted(float("inf") if key == "half_life" and not v else v for v in values)
    is_natural = at == (1 if key == "steps" else 0)
    return len(values) > 1 and not is_natural and at in (ordered[0], ordered[-1])


def quality(source: CandidateSource, window: Window, block_size: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """NDCG@10 per user of a source alone over the full catalogue, seen items removed."""
    users, values = Users.of(window), [np.zeros(0)]
    for start in range(0, len(users), block_size):
        block = users.part(start, block_size)
        assert block.targets is not None
        values.append(ndcg(proposals(source.score(block.history), block.history, 10), block.targets))
    return np.concatenate(values)


def tuning_users(window: Window, most: int, seed: int, warm: bool) -> Window:
    """A seeded sample of the window's users; `warm` keeps users with a history only, unless there are none."""
    assert window.targets is not None
    rows = np.flatnonzero(window.history.lengths) if warm else np.arange(len(window.user_ids))
    rows = rows if len(rows) else np.arange(len(window.user_ids))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    history: Rows = window.history.take(rows)
    return Window(window.name, window.log, window.user_ids[rows], history, window.targets.take(rows))
