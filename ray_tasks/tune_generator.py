"""Task `tune_generator`: LoRA on pairs of the last published night, judged against prompting, promoted if better."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ray_tasks.model_files import model_revision
from ray_tasks.statistics import Figure
from ray_tasks.tuning import evaluation, promotion, registry
from ray_tasks.tuning.evaluation import Arm
from ray_tasks.tuning.lora import Adapter, train
from ray_tasks.tuning.material import Material, collect
from ray_tasks.tuning.merged import keep, merged
from ray_tasks.tuning.pairs import few_shot, shots
from ray_tasks.tuning.profiles import tuned_prompts
from ray_tasks.tuning.remote import on_all_cores
from ray_tasks.tuning.trials import trial_rows
from schemas.config import RunConfig
from schemas.errors import NothingToDo
from schemas.night import Task, night_task, task_arguments
from schemas.published import PublishedNight
from schemas.stage_files import write_rows
from schemas.tables import TABLES

log = logging.getLogger("nightrec.tuning")

SHOTS = 4


def main() -> None:
    """Run the task for the configuration on the command line."""
    with night_task("tune_generator", task_arguments(__doc__ or "")) as task:
        tune(task)


def tune(task: Task) -> None:
    """Train, judge, publish `tuning_trials`, register. Raises NothingToDo for a backend that has no weights here."""
    from ray_tasks.ray_session import ray_session

    config, base = task.config, task.config.generator.path
    if config.generator.backend != "transformers":
        raise NothingToDo(f"generator.backend is {config.generator.backend}: only weights on this machine can be tuned")
    stage = task.stage("tuning_trials")
    material = collect(PublishedNight.last(task), config)
    with ray_session():
        adapter: Adapter = on_all_cores(
            train, base, material.pairs, evaluation.instructions(), config.tuning, seed=config.seed
        )
        prompts = tuned_prompts(config.generator, material.pairs)
        with merged(base, adapter.files, tuned_home(config)) as made:
            figures = judge(arms(config, material, str(made), prompts), material, config)
            judged = promotion.verdict(figures)
            revisions = {"prompting": model_revision(base), "lora": model_revision(str(made))}
            rows = trial_rows(figures, adapter, judged, config, revisions, prompts)
            write_rows(stage, pa.Table.from_pylist(rows, schema=TABLES["tuning_trials"].schema))
            task.publish(stage)
            run = registry.log_run(config, adapter, figures, judged, revisions["prompting"])
            folder = str(keep(made, tuned_home(config))) if judged.promoted else None
            version = registry.register(config, run, revisions["prompting"], revisions["lora"], folder, prompts)
    task.counters.update(_counters(adapter, figures, judged, version))
    log.info("tuning: %s version %s is the %s%s", *_told(version, judged))


def arms(config: RunConfig, material: Material, folder: str, prompts: Mapping[str, str]) -> list[Arm]:
    """The template, the untuned model with examples from the catalogue itself, and the tuned model in `folder`."""
    texts = evaluation.instructions()
    prefixes = {
        (task, kind): few_shot(texts[task, kind], shots(material.of(task), SHOTS, config.seed))
        for task, kind in (("labels", "item"), ("next_item", "user"))
    }
    plain = config.generator.model_copy(update={"adapter": None})
    return [
        Arm("template", None, {}),
        evaluation.prompting(plain, prefixes),
        evaluation.tuned(plain, folder, texts, prompts),
    ]


def judge(compared: Sequence[Arm], material: Material, config: RunConfig) -> list[Figure]:
    """Figures of every arm on the same held-out rows."""
    figures: list[Figure] = []
    for arm in compared:
        figures += on_all_cores(evaluation.all_figures, arm, material, seed=config.seed)
        log.info("tuning: arm %s judged", arm.name)
    return figures


def tuned_home(config: RunConfig) -> str:
    """Folder below which tuned models are kept."""
    return config.tuning.folder or f"{config.generator.path.rstrip('/').rpartition('/')[0] or '.'}/tuned"


def _counters(
    adapter: Adapter, figures: Sequence[Figure], judged: promotion.Verdict, version: dict[str, str]
) -> dict[str, Any]:
    """Figures of the task for its record."""
    return {
        "promoted": judged.promoted,
        "reasons": list(judged.reasons),
        "version": version,
        "training_seconds": adapter.seconds,
        "training_tokens": adapter.tokens,
        "training_examples": adapter.examples,
        "figures": {f"{f.arm}.{f.kind}.{f.task}.{f.metric}": round(f.estimate.value, 4) for f in figures},
    }


def _told(version: dict[str, str], judged: promotion.Verdict) -> tuple[str, str, str, str]:
    why = f": {'; '.join(judged.reasons)}" if judged.reasons else ""
    return version["name"], version["version"], version["alias"], why


if __name__ == "__main__":
    main()
