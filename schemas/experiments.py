"""Experiments: what their arms change, which users they take, and which arm a user is in.

Users, not requests or nights, are drawn: a salted hash of the user's id decides, so that an arm needs no storage, is
the same every night, and can be told by any engine. A layer is one such hash; experiments on disjoint slices of a layer
share no user, and experiments of different layers are independent of each other (Tang et al. 2010, Overlapping
Experiment Infrastructure).
"""

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import combinations
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from schemas.source_config import Section

NAME = r"^[a-z0-9][a-z0-9_-]*$"
DEFAULT, HOLDOUT = "default", "holdout"
"""Labels of users who are in no experiment: by chance, and because they are held out of all."""
ARM_SECTIONS = ("final_list", "ranking", "explanations")
"""What an arm may change: how candidates are ranked, what becomes of the order, and how lists are explained.

Profiles, embeddings and candidates are made once for all users; the DAG `shadow_run` tries a new model or prompt.
"""
ONE_FOR_ALL = (
    "ranking__arm",
    "ranking__champion_days",
    "ranking__rerank",
    "explanations__nightly_token_budget",
)
"""Settings of these sections that hold for the night as a whole."""

MetricName = Literal["ctr", "conversion_rate", "dwell", "helpfulness", "hide_rate"]


class Arm(Section):
    """One way to make lists."""

    name: str = Field(pattern=NAME)
    weight: float = Field(1, gt=0, description="Users of this arm relative to those of the others")
    changes: dict[str, Any] = Field(
        {}, description="Settings that differ from the night's, as ranking__top_k: 10; none for the night's own"
    )

    @field_validator("changes")
    @classmethod
    def _changes_are_settings_of_sections(cls, changes: dict[str, Any]) -> dict[str, Any]:
        wrong = [
            key for key in changes if "__" not in key or key.split("__")[0] not in ARM_SECTIONS or key in ONE_FOR_ALL
        ]
        if wrong:
            sections, kept = " or ".join(ARM_SECTIONS), ", ".join(ONE_FOR_ALL)
            raise ValueError(f"{wrong}: expected section__setting of {sections}, and not {kept}")
        return changes


class Experiment(Section):
    """A comparison of arms on users drawn for it. The first arm is the control."""

    name: str = Field(pattern=NAME)
    salt: str = Field("", description="Another salt draws the arms anew")
    layer: str = Field("default", pattern=NAME, description="Experiments of one layer share no user")
    traffic: float = Field(1, gt=0, le=1, description="Share of the layer's users that take part")
    offset: float = Field(
        0, ge=0, lt=1, description="Where its slice of the layer begins: fixed, so that no other experiment moves it"
    )
    arms: tuple[Arm, ...] = Field(min_length=2, description="The first is the control")
    start: date = Field(description="First night")
    nights: int = Field(14, ge=1, le=366, description="Planned length: the last of them decides")
    primary: MetricName = Field("ctr", description="The metric that the experiment is about")
    guardrails: tuple[MetricName, ...] = Field((), description="Metrics that may not become worse")
    minimum_effect: float = Field(
        0.05, gt=0, le=1, description="Smallest relative change of the primary metric that must not be missed"
    )
    alpha: float = Field(0.05, gt=0, lt=0.5, description="Chance of any false decision, over all nights and metrics")
    power: float = Field(0.8, gt=0.5, lt=1, description="Chance to find the minimum effect if it is there")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [arm.name for arm in self.arms]
        problems = []
        if len(set(names)) < len(names):
            problems.append(f"arms share a name: {names}")
        if self.offset + self.traffic > 1 + 1e-9:
            problems.append(f"offset + traffic is {self.offset + self.traffic:g}, beyond the layer's end at 1")
        if self.primary in self.guardrails:
            problems.append(f"{self.primary} is primary and guardrail")
        if len(set(self.guardrails)) < len(self.guardrails):
            problems.append(f"guardrails are named twice: {list(self.guardrails)}")
        if problems:
            raise ValueError(f"{self.name}: " + "; ".join(problems))
        return self

    @property
    def end(self) -> date:
        """The night after the last one."""
        return self.start + timedelta(days=self.nights)

    @property
    def tests(self) -> int:
        """Comparisons that may decide: every arm but the control, on the primary metric and the guardrails."""
        return (len(self.arms) - 1) * (1 + len(self.guardrails))

    @property
    def shares(self) -> dict[str, float]:
        """Expected share of the experiment's users by arm."""
        whole = sum(arm.weight for arm in self.arms)
        return {arm.name: arm.weight / whole for arm in self.arms}

    def runs_on(self, night: date) -> bool:
        """Whether lists of a night are made by its arms."""
        return self.start <= night < self.end

    def arm_numbers(self, user_ids: Sequence[str]) -> NDArray[np.int64]:
        """(users,): which arm each user is in, from 0; -1 for users outside its slice of the layer."""
        place = units(f"layer:{self.layer}", user_ids)
        weights = np.cumsum([arm.weight for arm in self.arms])
        drawn = np.searchsorted(weights / weights[-1], units(f"arm:{self.name}:{self.salt}", user_ids), side="right")
        return np.where((place >= self.offset) & (place < self.offset + self.traffic), drawn, -1)


class Experiments(Section):
    """All experiments, and the users who are in none."""

    holdout: float = Field(
        0, ge=0, lt=1, description="Share of users whom no experiment takes: what all of them together have changed"
    )
    holdout_salt: str = Field("", description="Another salt draws the holdout anew")
    planned: tuple[Experiment, ...] = Field((), description="Past, present and future ones")

    @model_validator(mode="after")
    def _exclusive(self) -> Self:
        names = [one.name for one in self.planned]
        problems = [f"two experiments are named {name}" for name in sorted(set(names)) if names.count(name) > 1]
        for one, other in combinations(self.planned, 2):
            if one.start < other.end and other.start < one.end:
                problems += _clash(one, other)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def arms(self, user_ids: Sequence[str], night: date) -> dict[str, NDArray[np.int64]]:
        """By experiment that runs on a night, in the order of names, the number of every user's arm; -1 for none."""
        open_to = units(f"holdout:{self.holdout_salt}", user_ids) >= self.holdout
        running = sorted((one for one in self.planned if one.runs_on(night)), key=lambda one: one.name)
        return {one.name: np.where(open_to, one.arm_numbers(user_ids), -1) for one in running}

    def labels(self, user_ids: Sequence[str], night: date) -> NDArray[np.object_]:
        """(users,): `experiment/arm` of every user, joined by `+` over layers; else `default` or `holdout`.

        Users with one label get lists made in one way: by the settings of `changes`.
        """
        held = units(f"holdout:{self.holdout_salt}", user_ids) < self.holdout
        found = np.where(held, HOLDOUT, "").astype(object)
        for name, numbers in self.arms(user_ids, night).items():
            parts = np.array([*(f"{name}/{arm.name}" for arm in self._named(name).arms), ""], dtype=object)[numbers]
            found += np.where((found != "") & (numbers >= 0), "+", "").astype(object) + parts
        return np.where(found == "", DEFAULT, found)

    def changes(self, label: str) -> dict[str, Any]:
        """Overrides of the night's settings, as `schemas.config.with_changes` takes them, for users of a label."""
        found: dict[str, Any] = {}
        for part in label.split("+") if "/" in label else ():
            name, _, arm = part.partition("/")
            found |= next(one.changes for one in self._named(name).arms if one.name == arm)
        return found

    def _named(self, name: str) -> Experiment:
        return next(one for one in self.planned if one.name == name)


def units(salt: str, user_ids: Sequence[str]) -> NDArray[np.float64]:
    """(users,) in [0, 1): the first 52 bits of SHA-256 of `salt:user`, uniform and independent between salts.

    In SQL: `conv(substring(sha2(concat(salt, ':', user_id), 256), 1, 13), 16, 10) / pow(2, 52)`.
    """
    begun = hashlib.sha256(f"{salt}:".encode())

    def head(user_id: str) -> bytes:
        digest = begun.copy()
        digest.update(user_id.encode())
        return digest.digest()[:8]

    return (np.frombuffer(b"".join(map(head, user_ids)), dtype=">u8") >> 12).astype(np.float64) * 2.0**-52


def _clash(one: Experiment, other: Experiment) -> list[str]:
    """Why two experiments cannot run on the same nights."""
    pair = f"{one.name} and {other.name}"
    if one.layer == other.layer:
        overlap = min(one.offset + one.traffic, other.offset + other.traffic) - max(one.offset, other.offset)
        if overlap > 1e-9:
            return [f"{pair} share {overlap:.3g} of layer {one.layer} on the same nights: move an offset, or the start"]
        return []
    both = {key for arm in one.arms for key in arm.changes} & {key for arm in other.arms for key in arm.changes}
    if both:
        return [f"{pair} change {sorted(both)} of the same users: put them into one layer, with disjoint slices"]
    return []
