"""Task `shadow_run`: a challenger's profiles beside the champion's, on a sample of the last published night."""

import json
import logging
from typing import Any

import pyarrow as pa

from ray_tasks.encoder import Encoder, load_encoder
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.trials.comparison import Comparison, compare
from ray_tasks.trials.material import read_material
from ray_tasks.trials.plot import comparison_figure, comparison_svg
from ray_tasks.trials.tracking import track
from schemas.generation_config import Generator
from schemas.night import Task, night_task, run_folder, task_arguments
from schemas.prompt_registry import RegisteredPrompt, champion_prompt, promote_prompt, register_prompts, split_version
from schemas.published import PublishedNight
from schemas.shadow import Shadow, load_shadow
from schemas.stage_files import write_rows
from schemas.storage import write_text
from schemas.tables import TABLES

log = logging.getLogger("nightrec.shadow")

TABLE = "shadow_trials"


def main() -> None:
    """Run the task for the configuration on the command line."""
    with night_task("shadow_run", task_arguments(__doc__ or "")) as task:
        shadow_run(task, load_shadow(task.config))


def shadow_run(task: Task, shadow: Shadow, encoder: Encoder | None = None) -> Comparison:
    """Compare, publish `shadow_trials`, keep plot and JSON in the run's folder and in MLflow; promote where told to."""
    config, night = task.config, PublishedNight.last(task)
    prompts = register_prompts(config.mlflow_tracking_uri, _texts(config.generator, shadow.challenger))
    tell_disagreement(config.mlflow_tracking_uri, config.generator)
    material = read_material(night, config, shadow.sample)
    comparison = compare(material, config, shadow.challenger, encoder or load_encoder(config.encoder))
    stage = task.stage(TABLE)
    write_rows(stage, pa.Table.from_pylist(comparison.rows(), schema=TABLES[TABLE].schema))
    task.publish(stage)
    folder = run_folder(config.lake, config.run_id)
    title = (
        f"Shadow run on {shadow.sample} items and users of the night of {night.manifest.run_date}, "
        f"with bootstrap 95% intervals: the challenger is {comparison.verdict.outcome}"
    )
    write_text(f"{folder}/comparison.json", json.dumps(comparison.document(), indent=2))
    write_text(f"{folder}/comparison.svg", comparison_svg(comparison, title))
    run = track(config, comparison, comparison_figure(comparison, title), prompts.values())
    promoted = conclude(task, shadow, comparison, prompts)
    task.counters.update(verdict=comparison.verdict.outcome, promoted=promoted, mlflow_run=run, folder=folder)
    return comparison


def conclude(task: Task, shadow: Shadow, comparison: Comparison, prompts: dict[str, RegisteredPrompt]) -> list[str]:
    """Say the verdict and what to write into the configuration; returns the prompts that became champions."""
    judged, settings = comparison.verdict, task.config.generator
    log.info("the challenger is %s", judged.outcome)
    for reason in judged.reasons:
        log.info("because of %s", reason)
    if not judged.may_be_promoted:
        log.info("nothing is promoted: the challenger is worse")
        return []
    changed = changes(settings, shadow.challenger)
    log.info("nights use it once their configuration says\n%s", config_lines(changed))
    if not shadow.promote:
        log.info("nothing is promoted: promote was not asked for")
        return []
    versions = [changed[name] for name in ("item_prompt", "user_prompt") if name in changed]
    for version in versions:
        promote_prompt(task.config.mlflow_tracking_uri, prompts[version])
        log.info("%s is the champion of the prompt registry", version)
    return versions


def tell_disagreement(tracking_uri: str, settings: Generator) -> None:
    """Log where the prompt registry's champion is another version than the one that nights use."""
    for name, tag in map(split_version, (settings.item_prompt, settings.user_prompt)):
        trusted = champion_prompt(tracking_uri, name)
        if trusted != tag:
            log.info("nights use %s of %s, while the registry's champion is %s", tag, name, trusted)


def changes(champion: Generator, challenger: Generator) -> dict[str, Any]:
    """Fields of the section `generator` in which the challenger differs."""
    before, after = champion.model_dump(mode="json"), challenger.model_dump(mode="json")
    return {name: value for name, value in after.items() if value != before[name]}


def config_lines(changed: dict[str, Any]) -> str:
    """What the YAML file must say for nights to write as the challenger does."""
    return "\n".join(["generator:", *(f"  {name}: {json.dumps(value)}" for name, value in changed.items())])


def _texts(*generators: Generator) -> dict[str, str]:
    """Prompts of the generators by version. Raises ConfigError for a version that has no file."""
    versions = dict.fromkeys(v for one in generators for v in (one.item_prompt, one.user_prompt))
    return {version: PromptFile.load(version).text for version in versions}


if __name__ == "__main__":
    main()
