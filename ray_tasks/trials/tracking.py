"""A comparison in MLflow: figures, table, plot and verdict, in the experiment `nightrec/<source>/shadow`."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from ray_tasks.trials.comparison import Comparison
from schemas.champions import experiment_id, mlflow_client
from schemas.config import RunConfig
from schemas.prompt_registry import RegisteredPrompt

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient


def track(config: RunConfig, comparison: Comparison, plot: "Figure", prompts: Iterable[RegisteredPrompt]) -> str:
    """Record a comparison; returns the MLflow run's id. A retry of the task writes into the same run.

    Raises MlflowException where the store cannot be reached.
    """
    from mlflow.entities import Metric, Param, RunTag

    client = mlflow_client(config.mlflow_tracking_uri)
    run, now = open_run(client, config, "shadow"), int(time.time() * 1000)
    client.log_batch(
        run,
        [Metric(name, value, now, 0) for name, value in _metrics(comparison).items()],
        [Param(name, value[:500]) for name, value in _params(comparison).items()],
        [RunTag(name, value) for name, value in _tags(config, comparison, prompts).items()],
    )
    client.log_dict(run, comparison.document(), "comparison.json")
    client.log_figure(run, plot, "comparison.png")
    # As text, which a retry replaces; MLflow's own tables would get the rows a second time.
    client.log_text(run, pd.DataFrame(comparison.rows()).to_csv(index=False), "trials.csv")
    client.set_terminated(run)
    return run


def _metrics(comparison: Comparison) -> dict[str, float]:
    found = {f"{one.arm}.{one.kind}.{one.metric}": one.estimate.value for one in comparison.figures}
    return found | {f"{arm}.{kind}.seconds_per_profile": value for (arm, kind), value in comparison.seconds.items()}


def _params(comparison: Comparison) -> dict[str, str]:
    names = ("model", "path", "adapter", "item_prompt", "user_prompt")
    return {f"{arm.name}.{name}": str(getattr(arm.config, name)) for arm in comparison.arms for name in names}


def _tags(config: RunConfig, comparison: Comparison, prompts: Iterable[RegisteredPrompt]) -> dict[str, str]:
    return {
        "nightrec.kind": "shadow",
        "nightrec.run_date": config.night.isoformat(),
        "nightrec.verdict": comparison.verdict.outcome,
        "nightrec.reasons": "; ".join(comparison.verdict.reasons),
        # A tag and not MLflow's link: that one looks for the run in the store that the process has set globally.
        "nightrec.prompts": ", ".join(f"prompts:/{one.name}/{one.number}" for one in prompts),
    }


def open_run(client: "MlflowClient", config: RunConfig, kind: str) -> str:
    """The id of the task's run in the experiment `nightrec/<source>/<kind>`; a retry gets the same one."""
    experiment = experiment_id(client, config.mlflow_tracking_uri, f"nightrec/{config.source.name}/{kind}")
    found = client.search_runs([experiment], f"tags.`nightrec.run_id` = '{config.run_id}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    tags = {"nightrec.run_id": config.run_id}
    return str(client.create_run(experiment, tags=tags, run_name=f"{kind} {config.night}").info.run_id)
