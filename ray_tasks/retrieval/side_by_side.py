"""Sources tuned and fitted side by side, each as a Ray task of its own.

A source's numbers are the same wherever it is fitted: each task has one thread.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ray_tasks.interactions.windows import Window
from ray_tasks.ray_session import cores, log_progress, one_core_task
from ray_tasks.retrieval.candidate_blocks import Catalogue, Users
from ray_tasks.retrieval.factory import Grids, Parameters, SourceFactory, grids
from ray_tasks.retrieval.source import CandidateSource
from ray_tasks.retrieval.tuning import Tuned, tune, tuning_users

T = TypeVar("T")
if TYPE_CHECKING:
    from ray import ObjectRef

    Factory = ObjectRef[SourceFactory]
    """A factory in Ray's object store, with what its sources share (`SourceFactory.in_store`)."""

SLOWEST_FIRST = ("generative", "sequence_text", "sequence", "two_tower", "ease_text", "ease", "ials", "item_item")
"""Begun before the others, so that no core waits for a long one at the end."""


@dataclass(frozen=True)
class Trial:
    """One source to tune: `name` of the result, `source` and its grid, on `users`.

    `start_from` is a trial whose best values are the first to be tried, or with `keeps` the only ones. `incumbent` is
    what an earlier night chose.
    """

    name: str
    source: str
    grid: Grids
    users: Users
    start_from: str | None = None
    keeps: bool = False
    incumbent: Parameters | None = None

    def run(self, factory: SourceFactory, catalogue: Catalogue | None = None, found: Tuned | None = None) -> Tuned:
        """Tune; of what `start_from` found only the values that this grid knows count, never a half-life."""
        known = {key: value for key, value in (found.parameters if found else {}).items() if key in self.grid}
        known.pop("half_life", None)
        grid = {**self.grid, **{key: (value,) for key, value in known.items()}} if self.keeps else self.grid
        start = None if self.keeps else known
        return tune(self.source, grid, factory, self.users, catalogue, start, self.incumbent)


def trials_of(
    validation: Window, factory: SourceFactory, incumbents: Mapping[str, Parameters] | None = None
) -> list[Trial]:
    """A trial for every source in use, on the users that it is for, against what an earlier night chose.

    What newcomers take is tuned on more users than those who said something, so that `stated` takes it from there.
    """
    settings, everybody = factory.settings, Users.of(validation)
    found = []
    for name, grid in grids(settings).items():
        users = tuning_users(everybody, settings.tuning_users, factory.seed, name)
        leans = name == "stated" and "newcomers" in settings.used
        start, incumbent = "newcomers" if leans else None, (incumbents or {}).get(name)
        found.append(Trial(name, name, grid, users, start, keeps=leans, incumbent=incumbent))
    return found


def tune_all(trials: Sequence[Trial], factory: "Factory", catalogue: Catalogue | None = None) -> dict[str, Tuned]:
    """Every trial's best parameters, inside a Ray session.

    A trial is handed to Ray when a core is free for it, because Ray takes tasks in the order in which they could begin:
    a slow one that waited for its start would come last, and all other cores would wait for it.
    """
    import ray

    task, most = one_core_task(_tuned), int(cores())
    waiting = {trial.name: trial for trial in sorted(trials, key=lambda trial: _turn(trial.source))}
    running: dict[Any, str] = {}
    found: dict[str, Tuned] = {}
    while waiting or running:
        able = [name for name, trial in waiting.items() if trial.start_from is None or trial.start_from in found]
        for name in able[: most - len(running)]:
            trial = waiting.pop(name)
            running[task.remote(factory, catalogue, trial, found.get(trial.start_from or ""))] = name
        for done in ray.wait(list(running))[0]:
            found[running.pop(done)] = ray.get(done)
    return {trial.name: found[trial.name] for trial in trials}


@dataclass(frozen=True)
class FittedSources(Mapping[str, CandidateSource]):
    """Sources by name, each in Ray's object store, where the worker that fitted it put it.

    What is sent to workers together with their values would be a second copy of them in the store.
    """

    references: Mapping[str, Any]

    def __getitem__(self, name: str) -> CandidateSource:
        import ray

        return cast("CandidateSource", ray.get(self.references[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.references)

    def __len__(self) -> int:
        return len(self.references)


def fit_all(factory: "Factory", parameters: Mapping[str, Parameters]) -> Mapping[str, CandidateSource]:
    """Every source fitted with its parameters, inside a Ray session; usable until its end."""
    import ray

    models = {name: (name, own) for name, own in parameters.items()}
    begun = _begun(factory, models, lambda source: source)
    ray.get(list(begun.values()))  # raises here what went wrong in a worker
    return FittedSources(begun)


def each_fitted(
    factory: "Factory", models: Mapping[str, tuple[str, Parameters]], work: Callable[[CandidateSource], T]
) -> dict[str, T]:
    """What `work` makes of every model, where it was fitted: a source with its parameters, inside a Ray session."""
    import ray

    begun = _begun(factory, models, work)
    return dict(zip(begun, ray.get(list(begun.values())), strict=True))


def _begun(
    factory: "Factory", models: Mapping[str, tuple[str, Parameters]], work: Callable[[CandidateSource], Any]
) -> dict[str, Any]:
    """References to what will be made of every model, in the order of `models`; the slowest are begun first."""
    import ray

    put, task = ray.put(work), one_core_task(_fitted)
    ordered = sorted(models, key=lambda one: _turn(models[one][0]))
    found = {name: task.remote(factory, put, *models[name]) for name in ordered}
    return {name: found[name] for name in models}


def _turn(source: str) -> int:
    return SLOWEST_FIRST.index(source) if source in SLOWEST_FIRST else len(SLOWEST_FIRST)


def _tuned(factory: SourceFactory, catalogue: Catalogue | None, trial: Trial, start: Tuned | None) -> Tuned:
    log_progress()
    started = time.monotonic()
    found = trial.run(factory, catalogue, start)
    return replace(found, seconds=time.monotonic() - started)


def _fitted(factory: SourceFactory, work: Callable[[CandidateSource], Any], source: str, parameters: Parameters) -> Any:
    log_progress()
    return work(factory.fit(source, parameters))
