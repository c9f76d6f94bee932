"""Tuning of the candidate sources: NDCG@10 on the validation window, every source fitted on train only.

What an earlier night chose stays while tonight's best is not better by more than noise, as a ranker does
(docs/adr/0020): lists and their reasons do not change because two values are as good as each other.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ray_tasks.interactions.metrics import beats, ndcg
from ray_tasks.interactions.rows import Floats
from ray_tasks.interactions.windows import Window
from ray_tasks.retrieval.candidate_blocks import Catalogue, Users, proposals, scores_of
from ray_tasks.retrieval.factory import Grids, Parameters, SourceFactory
from ray_tasks.retrieval.source import CandidateSource

U = TypeVar("U", Window, Users)

log = logging.getLogger("nightrec.candidates")

MOST_BEYOND = 3
"""Values tried beyond those of a grid, where its best one lies on its edge."""
COUNTS = ("steps", "neighbours", "first", "layers", "epochs", "factors")
"""Parameters that count something: whole, and at least 1."""
LARGEST = {"b": 1.0}
"""Parameters that have a largest value by their meaning: BM25's share of length normalisation."""


@dataclass(frozen=True)
class Tuned:
    """A source's best parameters, their NDCG@10 on the validation users they were tuned on, and seconds taken.

    NDCG is None where there was nothing to choose: a model that is trained once is not trained to be measured.
    """

    parameters: Parameters
    ndcg: float | None
    seconds: float = field(default=0, compare=False)


def tune(
    name: str,
    grid: Grids,
    factory: SourceFactory,
    users: Users,
    catalogue: Catalogue | None = None,
    start: Parameters | None = None,
    incumbent: Parameters | None = None,
) -> Tuned:
    """Coordinate search for one source; warns when even beyond its grid the optimum lies on the edge.

    `start` holds values that a related source was found to be best with, so that fewer are tried. `incumbent` is what
    an earlier night chose: it stays unless it is beaten, or a single value of the grid says otherwise.
    """

    if all(len(values) == 1 for values in grid.values()):
        return Tuned({key: float(values[0]) for key, values in grid.items()}, None)

    measured: dict[tuple[float, ...], Floats] = {}

    def measure(parameters: Parameters) -> Floats:
        key = tuple(parameters[one] for one in grid)
        if key not in measured:
            source = factory.fit(name, parameters)
            measured[key] = quality(source, users, factory.settings.block_size, catalogue)
        return measured[key]

    def value(parameters: Parameters) -> float:
        found = measure(parameters)
        return float(found.mean()) if len(found) else 0.0

    tried = {key: list(values) for key, values in grid.items()}
    best = coordinate_search(tried, value, start=start)
    warn_of_edges(f"source {name}", tried, best.parameters)
    assert best.ndcg is not None
    log.info("source %s: %s, NDCG@10 %.4f on %s users", name, best.parameters, best.ndcg, len(users))
    if incumbent is None or incumbent == best.parameters or not is_of(incumbent, grid):
        return best
    if beats(measure(best.parameters), measure(incumbent)):
        return best
    lead = best.ndcg - value(incumbent)
    log.info("source %s: stays at %s, since %+.4f NDCG@10 is not more than noise", name, incumbent, lead)
    return Tuned(incumbent, value(incumbent))


def is_of(parameters: Parameters, grid: Grids) -> bool:
    """True if a grid's search could end with these parameters: its own, at its only value where it has but one."""
    free = parameters.keys() == grid.keys()
    return free and all(len(values) > 1 or parameters[key] == values[0] for key, values in grid.items())


def coordinate_search(
    tried: dict[str, list[float]],
    value: Callable[[Parameters], float],
    sweeps: int = 2,
    start: Parameters | None = None,
) -> Tuned:
    """Improve one coordinate after the other, from `start` or the middle of every grid.

    The first sweep tries every value of what `start` does not say; all else is compared with its neighbours. While the
    best value lies on its grid's edge, the grid goes on in its own steps: `tried` gains up to MOST_BEYOND values each.
    Ties keep the earlier value tried.
    """
    started = start or {}
    at = {key: float(values[len(values) // 2]) for key, values in tried.items()} | started
    most = {key: len(values) + MOST_BEYOND for key, values in tried.items()}
    seen: dict[tuple[float, ...], float] = {}

    def known(parameters: Parameters) -> float:
        key = tuple(parameters.values())
        if key not in seen:
            seen[key] = value(parameters)
        return seen[key]

    for sweep in range(sweeps):
        before = dict(at)
        for key, values in tried.items():
            choices = neighbours(values, at[key]) if sweep or key in started else values
            at = max([at, *({**at, key: float(choice)} for choice in choices)], key=known)
            while on_edge(key, values, at[key]) and len(values) < most[key]:
                values.append(beyond(key, values, at[key]))
                at = max([at, {**at, key: values[-1]}], key=known)
        if at == before:
            break
    return Tuned(at, known(at))


def neighbours(values: Sequence[float], at: float) -> list[float]:
    """The values tried just below and above."""
    ordered = sorted(values)
    place = int(np.searchsorted(ordered, at))
    return [ordered[near] for near in (place - 1, place + 1) if 0 <= near < len(ordered)]


def on_edge(key: str, values: Sequence[float], at: float) -> bool:
    """True if a better value may lie beyond the values tried.

    0 is a natural limit of every parameter, 1 of COUNTS; a half-life of 0 stands for no decay, beyond all others.
    """
    ordered = sorted(float("inf") if key == "half_life" and not v else v for v in values)
    is_natural = at == (1 if key in COUNTS else 0) or at == LARGEST.get(key)
    return len(values) > 1 and not is_natural and at in (ordered[0], ordered[-1])


def beyond(key: str, values: Sequence[float], at: float) -> float:
    """The value that continues a grid outward from `at`, on its edge: as far off as the value before it, as a ratio."""
    ordered = sorted(value for value in values if value)
    if len(ordered) < 2:
        return 2 * at
    further = at * ordered[0] / ordered[1] if at == ordered[0] else at * ordered[-1] / ordered[-2]
    return float(max(1, round(further))) if key in COUNTS else further


def warn_of_edges(name: str, tried: Grids, best: Parameters) -> None:
    """Say where a better value may lie."""
    for key, at in best.items():
        if on_edge(key, tried[key], at):
            log.warning("%s: best %s = %g lies on the edge of the values tried %s", name, key, at, sorted(tried[key]))


def quality(
    source: CandidateSource, users: Users, block_size: int, catalogue: Catalogue | None = None
) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """NDCG@10 per user of a source alone over the whole catalogue, seen items removed."""
    values = [np.zeros(0)]
    for start in range(0, len(users), block_size):
        block = users.part(start, block_size)
        assert block.targets is not None
        values.append(ndcg(proposals(scores_of(source, block), block.history, 10, catalogue), block.targets))
    return np.concatenate(values)


def tuning_users(users: U, most: int, seed: int, source: str) -> U:
    """A seeded sample of the users on whom a source (or the ranker) is tuned: those with a history, or without.

    Only `newcomers` is for those without. What says the same to everybody is tuned on those with a history too: the
    share of new users in a window is an accident, and would decide what the others get. If there are none of them,
    all users stand in. `stated` is for those who said something, and nobody can stand in for them.
    """
    known = users.history.lengths > 0
    able = ~known if source == "newcomers" else known
    rows = users.stated.of(users.user_ids)[0] if source == "stated" else np.flatnonzero(able)
    rows = rows if len(rows) or source == "stated" else np.arange(len(users.user_ids))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return users.take(rows)
