"""The tuning in MLflow: parameters, loss curve, figures and adapter of every run, and the registered model's versions.

Nothing is registered before all of it is there: run, adapter and merged folder first, the version next, and the alias,
by which nights find a champion, last. What an interrupted run leaves behind is a run that no alias names.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ray_tasks.statistics import Figure
from ray_tasks.tuning.lora import Adapter
from ray_tasks.tuning.promotion import Verdict
from schemas.champions import (
    BASE,
    CHALLENGER,
    CHAMPION,
    FOLDER,
    ITEM_PROMPT,
    MODEL,
    REVISION,
    USER_PROMPT,
    ensure_model,
    experiment_id,
    mlflow_client,
    registered_name,
)
from schemas.config import RunConfig

ARTIFACTS = "adapter"


def log_run(config: RunConfig, adapter: Adapter, figures: Sequence[Figure], judged: Verdict, base: str) -> str:
    """Record a tuning in the experiment `nightrec/<source>/tuning`; returns the MLflow run's id."""
    from mlflow.entities import Param, RunTag

    client = mlflow_client(config.mlflow_tracking_uri)
    experiment = experiment_id(client, config.mlflow_tracking_uri, f"nightrec/{config.source.name}/tuning")
    run = str(client.create_run(experiment, run_name=f"tuning {config.night}").info.run_id)
    params = {**config.tuning.model_dump(), "model": config.generator.model, "seed": config.seed}
    tags = {
        "nightrec.run_id": config.run_id,
        "nightrec.run_date": config.night.isoformat(),
        BASE: base,
        "nightrec.promoted": str(judged.promoted).lower(),
        "nightrec.verdict": "; ".join(judged.reasons) or "better than prompting",
    }
    client.log_batch(
        run,
        _metrics(adapter, figures),
        [Param(name, str(value)) for name, value in params.items()],
        [RunTag(name, value) for name, value in tags.items()],
    )
    with TemporaryDirectory() as folder:
        for name, content in adapter.files.items():
            (Path(folder) / name).write_bytes(content)
        client.log_artifacts(run, folder, ARTIFACTS)
    client.set_terminated(run)
    return run


def _metrics(adapter: Adapter, figures: Sequence[Figure]) -> list[Any]:
    """The loss curve by step, and the figures of all arms."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    curve = [
        (name, value, point.step) for point in adapter.curve for name, value in asdict(point).items() if name != "step"
    ]
    measured = [(f"{one.arm}.{one.kind}.{one.task}.{one.metric}", one.estimate.value, 0) for one in figures]
    return [Metric(name, value, now, step) for name, value, step in [*curve, *measured] if isfinite(value)]


def register(
    config: RunConfig, run: str, base: str, revision: str, folder: str | None, versions: Mapping[str, str]
) -> dict[str, str]:
    """Make the run's adapter a version of the source's registered model, and set its alias last.

    `versions` are the prompts, by kind, that the tuned model is used with.
    `folder` holds the merged model of a promoted adapter; None makes it the challenger. Returns name, version, alias.
    """
    client, name = mlflow_client(config.mlflow_tracking_uri), registered_name(config.source.name)
    ensure_model(client, name, "LoRA adapters of the profile generator, by weekly_tuning")
    tags = {MODEL: config.generator.model, REVISION: revision, BASE: base}
    tags |= {ITEM_PROMPT: versions["item"], USER_PROMPT: versions["user"]}
    if folder is not None:
        tags[FOLDER] = folder
    source = f"{client.get_run(run).info.artifact_uri}/{ARTIFACTS}"
    version = client.create_model_version(name, source, run_id=run, tags=tags)
    alias = CHAMPION if folder is not None else CHALLENGER
    client.set_registered_model_alias(name, alias, str(version.version))
    return {"name": name, "version": str(version.version), "alias": alias}
