"""A comparison from writing to verdict, and the forms in which it is kept: table rows and JSON."""

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ray_tasks.encoder import Encoder
from ray_tasks.generation.factory import generator_revision
from ray_tasks.interactions.rows import Floats
from ray_tasks.statistics import Figure
from ray_tasks.trials.arms import CHALLENGER, CHAMPION, Arm, Written, write
from ray_tasks.trials.material import Material, documents_tried
from ray_tasks.trials.measures import Metrics, agreement, differences, figures, writing_values
from ray_tasks.trials.ranking import item_gains, liked_in, user_gains
from ray_tasks.trials.verdict import Verdict, verdict
from schemas.config import RunConfig
from schemas.errors import ConfigError
from schemas.generation_config import Generator

log = logging.getLogger("nightrec.shadow")

MOST_USERS = 2_000
"""Users that rank the sampled items."""


@dataclass(frozen=True)
class Comparison:
    """All figures of both arms and of their differences, the verdict, and seconds per profile by (arm, kind)."""

    arms: tuple[Arm, Arm]
    figures: tuple[Figure, ...]
    verdict: Verdict
    seconds: dict[tuple[str, str], float]

    def rows(self) -> list[dict[str, Any]]:
        """Rows of `shadow_trials`. Seconds are left out: a table holds what a rerun gives again."""
        arms = {arm.name: arm for arm in self.arms}
        return [_row(one, arms.get(one.arm)) for one in self.figures]

    def document(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        return {
            "verdict": asdict(self.verdict),
            "arms": {arm.name: arm.config.model_dump(mode="json") for arm in self.arms},
            "seconds_per_profile": {f"{arm}.{kind}": value for (arm, kind), value in self.seconds.items()},
            "figures": self.rows(),
        }


def compare(material: Material, config: RunConfig, challenger: Generator, encoder: Encoder) -> Comparison:
    """Let both arms write about the sample, of each kind on which they differ, and judge.

    Raises ConfigError where they do not differ at all.
    """
    arms = tuple(
        Arm(name, generator, generator_revision(generator))
        for name, generator in ((CHAMPION, config.generator), (CHALLENGER, challenger))
    )
    found: list[Figure] = []
    seconds: dict[tuple[str, str], float] = {}
    for kind in ("item", "user"):
        asked = [material.entities(kind, config, arm.config) for arm in arms]
        if [one.recipe for one in asked[0]] == [one.recipe for one in asked[1]]:
            log.info("both arms write %s profiles by the same recipe: left out", kind)
            continue
        words = material.vocabulary.words()
        written = [write(arm, kind, entities, words) for arm, entities in zip(arms, asked, strict=True)]
        found += kind_figures(kind, written, material, encoder, config.seed)
        seconds |= {(one.arm.name, kind): one.seconds / len(one.entities) for one in written}
    if not found:
        raise ConfigError("shadow_run", ["the challenger writes as the champion does: name a prompt or model to try"])
    judged = verdict([one for one in found if one.arm == "difference"])
    return Comparison((arms[0], arms[1]), tuple(found), judged, seconds)


def kind_figures(
    kind: str, written: Sequence[Written], material: Material, encoder: Encoder, seed: int
) -> list[Figure]:
    """Figures of both arms and their differences for one kind; `written` is (champion, challenger)."""
    values: list[Metrics] = [
        {**writing_values(one), ("ranking", "ndcg_10"): ranking_values(one, material, encoder)} for one in written
    ]
    told = [figures(one.arm.name, kind, found, seed) for one, found in zip(written, values, strict=True)]
    shared = {("profile", "agreement"): agreement(*written)}
    return [
        *told[0],
        *told[1],
        *figures(CHALLENGER, kind, shared, seed),
        *differences(kind, values[0], values[1], seed),
    ]


def ranking_values(written: Written, material: Material, encoder: Encoder) -> Floats:
    """NDCG@10 per user by the texts that an arm wrote."""
    vectors = np.asarray(encoder.encode(written.texts()), dtype=np.float64)
    if written.kind == "item":
        places = {entity.entity_id: place for place, entity in enumerate(written.entities)}
        return item_gains(vectors, liked_in(material.histories, places, MOST_USERS))
    ids, targets, had = documents_tried(material)
    documents = encoder.encode([material.document_of[item_id]["document"] for item_id in ids])
    return user_gains(vectors, np.asarray(documents, dtype=np.float64), targets, had)


def _row(figure: Figure, arm: Arm | None) -> dict[str, Any]:
    found = figure.estimate
    version = None if arm is None else arm.config.item_prompt if figure.kind == "item" else arm.config.user_prompt
    return {
        "trial": "shadow",
        "arm": figure.arm,
        "model": arm.config.model if arm else None,
        "revision": arm.revision if arm else None,
        "prompt_version": version,
        "kind": figure.kind,
        "task": figure.task,
        "metric": figure.metric,
        "value": found.value,
        "low": None if math.isnan(found.low) else found.low,
        "high": None if math.isnan(found.high) else found.high,
        "n": found.n,
        "note": None if arm else "challenger - champion, paired",
    }
