"""Tonight's serving model: the registry is asked, the models are compared, and what came of it is registered.

Nothing here fails a night: without a registry the challenger serves, and the record says so.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from ray_tasks.interactions.rows import Floats
from ray_tasks.ranker.champion import Measured, Version, champion_of, judge
from ray_tasks.ranker.features import NAMES
from ray_tasks.ranker.gate import Learnt, ServingModel
from ray_tasks.ranker.serialised import digest_of, to_files
from schemas.config import RunConfig

log = logging.getLogger("nightrec.ranking")


@dataclass(frozen=True)
class Entry:
    """What is registered of a model: itself, where its data end, what it fits, and everything else to read about it."""

    model: ServingModel
    as_of: datetime
    fits: str
    about: dict[str, Any]


class Store(Protocol):
    """The registered rankers of a source."""

    def versions(self) -> list[Version]:
        """All versions, in any order."""
        ...

    def load(self, version: Version) -> ServingModel:
        """The model of a version. Raises ModelError when its files are not what was registered."""
        ...

    def add(self, entry: Entry) -> Version:
        """Register a model as a further version, the newest challenger."""
        ...

    def promote(self, version: Version, as_of: datetime, reason: str) -> None:
        """Make a version the champion of the night at `as_of` and of those after it."""
        ...


@dataclass(frozen=True)
class Terms:
    """What a champion must keep to: its past, its features and sources, its age."""

    as_of: datetime
    fits: str
    champion_days: int

    @classmethod
    def of(cls, config: RunConfig) -> "Terms":
        """A night's."""
        fits = json.dumps([NAMES, config.candidates.used])
        return cls(config.as_of, hashlib.sha256(fits.encode()).hexdigest(), config.ranking.champion_days)


def incumbent(store: Store, terms: Terms) -> str | None:
    """What an election hangs on beside the lists: which champion it would find, and whether that is young.

    None if the registry cannot be read.
    """
    try:
        champion = champion_of(store.versions(), terms.as_of, terms.fits)
    except Exception as error:
        log.warning("the registry of rankers cannot be read: %s", error)
        return None
    if champion is None:
        return "no champion"
    is_young = (terms.as_of - champion.as_of).days <= terms.champion_days
    return f"{champion.digest} {'young' if is_young else 'old'}"


@dataclass(frozen=True)
class Election:
    """The model that serves and why; `version` is None while it is not registered.

    `replaces`: the challenger serves and is to be the champion. `is_open`: the registry could be read.
    """

    model: ServingModel
    version: Version | None
    reason: str
    replaces: bool = False
    is_open: bool = True

    @property
    def serving(self) -> str:
        """The version in words."""
        if self.version is None:
            return "not registered"
        return f"version {self.version.number}, learnt from what happened before {self.version.as_of.date()}"


def elect(store: Store, learnt: Learnt, terms: Terms, measure: Callable[[ServingModel], Floats]) -> Election:
    """Champion or challenger; `measure` gives NDCG@10 per user of a model on the lists that `learnt` comes from."""
    try:
        versions = store.versions()
    except Exception as error:  # whatever keeps the registry from answering must not keep the night from its lists
        log.warning("the registry of rankers cannot be read: %s", error)
        said = f"no registry ({type(error).__name__}): tonight's ranker serves"
        return Election(learnt.model, None, said, is_open=False)
    champion = champion_of(versions, terms.as_of, terms.fits)
    is_learnt = bool(len(learnt.quality))
    if champion is None:
        said = "no earlier champion has these features and sources" if is_learnt else "nothing to learn from"
        return Election(learnt.model, None, said, replaces=is_learnt)
    if champion.digest == digest_of(to_files(learnt.model)):
        # The night that promoted it says the same however often it runs.
        said = champion.reason if champion.promoted == terms.as_of else "the challenger is the same model"
        return Election(learnt.model, champion, said)
    try:
        model = store.load(champion)
    except Exception as error:
        log.warning("version %d, the champion, does not open: %s", champion.number, error)
        return Election(learnt.model, None, f"version {champion.number} does not open", replaces=is_learnt)
    if not is_learnt:
        return Election(model, champion, "too few users to compare with")
    return _compared(learnt, champion, model, terms, measure)


def _compared(
    learnt: Learnt, champion: Version, model: ServingModel, terms: Terms, measure: Callable[[ServingModel], Floats]
) -> Election:
    if not model.has_unseen:
        said = f"version {champion.number} was learnt from too few users to be measured on others"
        return Election(learnt.model, None, said, replaces=True)
    quality = measure(model)
    age = (terms.as_of - champion.as_of).days
    verdict = judge(Measured(learnt.quality, quality, learnt.source_quality), age, terms.champion_days)
    log.info("champion: version %d %s (%s)", champion.number, "goes" if verdict.replaces else "stays", verdict.reason)
    if verdict.replaces:
        return Election(learnt.model, None, verdict.reason, replaces=True)
    return Election(model, champion, verdict.reason)


def settle(store: Store, election: Election, challenger: Entry) -> Election:
    """Register the challenger, and promote it if it won; returns the election with the version that serves.

    A model that is registered already is no new version. To be called when the lists are published: only what has
    served is a champion. Safe to repeat.
    """
    digest = digest_of(to_files(challenger.model))
    is_champion = election.version is not None and election.version.digest == digest
    if not election.is_open or is_champion or not challenger.model.decision.ndcg:
        return election
    try:
        known = [v for v in store.versions() if v.digest == digest and v.as_of <= challenger.as_of]
        if election.replaces:  # when an earlier night made it the champion stays on record
            known = [v for v in known if v.promoted is None]
        version = min(known, key=lambda v: v.number, default=None) or store.add(challenger)
        if not election.replaces:
            return election
        store.promote(version, challenger.as_of, election.reason)
    except Exception as error:
        log.warning("tonight's ranker is not registered: %s", error)
        return replace(election, reason=f"{election.reason}; not registered ({type(error).__name__})")
    return replace(election, version=replace(version, promoted=challenger.as_of, reason=election.reason))
