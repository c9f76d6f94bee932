"""From figures to rows of `tuning_trials`."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from ray_tasks.statistics import Figure
from ray_tasks.tuning.lora import Adapter
from ray_tasks.tuning.promotion import Verdict
from schemas.config import RunConfig

VERSIONS = {"labels": "item_labels.v1", "next_item": "next_item.v1"}


def trial_rows(
    figures: Sequence[Figure],
    adapter: Adapter,
    judged: Verdict,
    config: RunConfig,
    revisions: Mapping[str, str],
    prompts: Mapping[str, str],
) -> list[dict[str, Any]]:
    """A row per figure that could be measured, and those of the training.

    `revisions` are by arm, `prompts` those of the tuned model by kind.
    """
    own = {"item": config.generator.item_prompt, "user": config.generator.user_prompt}
    used = {"prompting": own, "lora": prompts}
    rows = [
        _row(figure, config, revisions.get(figure.arm), used.get(figure.arm, {}))
        for figure in figures
        if isfinite(figure.estimate.value)
    ]
    return [*rows, *_training(adapter, judged, config, revisions["lora"])]


def _row(figure: Figure, config: RunConfig, revision: str | None, prompts: Mapping[str, str]) -> dict[str, Any]:
    found = figure.estimate
    return {
        "trial": "tuning",
        "arm": figure.arm,
        "model": config.generator.model if revision else None,
        "revision": revision,
        "prompt_version": VERSIONS.get(figure.task) or prompts[figure.kind] if revision else None,
        "kind": figure.kind,
        "task": figure.task,
        "metric": figure.metric,
        "value": found.value,
        "low": found.low if isfinite(found.low) else None,
        "high": found.high if isfinite(found.high) else None,
        "n": found.n,
        "note": None,
    }


def _training(adapter: Adapter, judged: Verdict, config: RunConfig, revision: str) -> list[dict[str, Any]]:
    values = {
        "seconds": adapter.seconds,
        "tokens": float(adapter.tokens),
        "tokens_per_second": adapter.tokens / max(adapter.seconds, 1e-9),
        "validation_loss": adapter.best.validation_loss,
        "first_validation_loss": adapter.curve[0].validation_loss,
        "promoted": float(judged.promoted),
    }
    notes = {"promoted": "; ".join(judged.reasons) or None, "seconds": f"ended by {adapter.ended}"}
    common = {
        "trial": "tuning",
        "arm": "lora",
        "model": config.generator.model,
        "revision": revision,
        "prompt_version": None,
        "kind": "item",
        "task": "training",
        "low": None,
        "high": None,
        "n": adapter.examples,
    }
    return [{**common, "metric": name, "value": value, "note": notes.get(name)} for name, value in values.items()]
