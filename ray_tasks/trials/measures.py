"""The figures of an arm, each a mean over the sample with a bootstrap 95% interval.

The same draws serve both arms: they wrote about the same entities, so that their difference is a paired one.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ray_tasks.interactions.rows import Floats
from ray_tasks.profiles.plan import labels_of
from ray_tasks.statistics import Estimate, Figure, mean
from ray_tasks.trials.arms import Written
from ray_tasks.tuning.evaluation import FORM

JUDGED = ("validity", "grounding", "accepted", "ndcg_10")
"""What a verdict rests on; everything else is told, not judged."""

Metrics = dict[tuple[str, str], Floats]
"""Values per entity (or user) by (task, metric); NaN where an entity says nothing about the metric."""


def writing_values(written: Written) -> Metrics:
    """What can be told of each profile by itself.

    `validity`: the first attempt has the form; `grounding`: it passes all checks; `accepted`: it or the second does.
    `characters` and `labels_per_profile` are those of accepted profiles; tokens are those of all attempts.
    """
    outcomes, profiles = written.outcomes, written.profiles()
    first = [one.attempts[0]["reason"] for one in outcomes]
    accepted = np.array([one.last["reason"] is None for one in outcomes])
    texts = [sum(len(profile[name]) for name in SENTENCES[written.kind]) for profile in profiles]
    values = {
        "validity": [reason not in FORM for reason in first],
        "grounding": [reason is None for reason in first],
        "accepted": accepted,
        "characters": np.where(accepted, texts, np.nan),
        "labels_per_profile": np.where(accepted, [len(labels_of(profile)) for profile in profiles], np.nan),
        "output_tokens": [one.tokens["output_tokens"] for one in outcomes],
        "tokens_per_answer": [sum(one.tokens.values()) for one in outcomes],
    }
    values |= {
        f"rejected.{reason}": [any(a["reason"] == reason for a in one.attempts) for one in outcomes]
        for reason in sorted({a["reason"] for one in outcomes for a in one.attempts if a["reason"]})
    }
    return {("profile", name): np.asarray(found, dtype=np.float64) for name, found in values.items()}


SENTENCES = {"item": ("summary", "audience"), "user": ("long_term", "recent_interest")}


def agreement(one: Written, other: Written) -> Floats:
    """Jaccard index of the labels that two arms give; 1 where neither gives any, NaN where a profile was refused."""
    found = []
    for first, second, a, b in zip(one.outcomes, other.outcomes, one.profiles(), other.profiles(), strict=True):
        either, both = labels_of(a) | labels_of(b), labels_of(a) & labels_of(b)
        share = len(both) / len(either) if either else 1.0
        found.append(np.nan if first.last["reason"] or second.last["reason"] else share)
    return np.asarray(found, dtype=np.float64)


def figures(arm: str, kind: str, values: Metrics, seed: int) -> list[Figure]:
    """The mean of each metric that at least one entity says something about."""
    known = {place: found[~np.isnan(found)] for place, found in values.items()}
    return [Figure(arm, kind, *place, mean(found, seed)) for place, found in known.items() if len(found)]


def differences(kind: str, champion: Metrics, challenger: Metrics, seed: int) -> list[Figure]:
    """Paired differences challenger - champion of the judged metrics, as figures of an arm `difference`."""
    shared = {place: challenger[place] - champion[place] for place in champion if place[1] in JUDGED}
    return figures("difference", kind, shared, seed)


def by_place(found: Sequence[Figure]) -> Mapping[tuple[str, str, str, str], Estimate]:
    """Estimates by (arm, kind, task, metric)."""
    return {(one.arm, one.kind, one.task, one.metric): one.estimate for one in found}
