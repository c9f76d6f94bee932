"""A run of the benchmark in MLflow: parameters, all models' metrics, plots, JSON and page, one run per task."""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ray_tasks.benchmark.report.figures import Result, headline
from ray_tasks.benchmark.report.page import page
from ray_tasks.benchmark.report.plot import gains_figure, lifts_figure
from ray_tasks.benchmark.rows import EVERYBODY, Row
from ray_tasks.trials.tracking import open_run
from schemas.champions import mlflow_client
from schemas.config import RunConfig

MOST = 1_000
"""Metrics that one call may bring."""


def track(config: RunConfig, results: Mapping[str, Result], rows: Iterable[Row]) -> str:
    """Record results by protocol in the experiment `nightrec/<source>/benchmark`; returns the MLflow run's id.

    A retry of the task writes into the same run. Raises MlflowException where the store cannot be reached.
    """
    from mlflow.entities import Metric, Param, RunTag

    client = mlflow_client(config.mlflow_tracking_uri)
    run, now = open_run(client, config, "benchmark"), int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in _metrics(rows).items()]
    for start in range(0, len(metrics), MOST):
        client.log_batch(run, metrics[start : start + MOST])
    client.log_batch(
        run,
        params=[Param(name, value[:500]) for name, value in _params(config, results).items()],
        tags=[RunTag(name, value[:5_000]) for name, value in _tags(config, results).items()],
    )
    for protocol, result in results.items():
        name = file_name(protocol)
        for ending, text in documents(result, protocol):
            client.log_text(run, text, f"{name}.{ending}")
        client.log_figure(run, gains_figure(result), f"{name}-ndcg.png")
        client.log_figure(run, lifts_figure(result), f"{name}-lifts.png")
    client.set_terminated(run)
    return run


def file_name(protocol: str) -> str:
    """Name of a result's files, without an ending."""
    return f"benchmark-{protocol}"


def documents(result: Result, protocol: str) -> Iterator[tuple[str, str]]:
    """The result's files: ending and text of its JSON and of its page."""
    yield "json", json.dumps(result, indent=2)
    yield "html", page(result, f"{file_name(protocol)}.json")


def _metrics(rows: Iterable[Row]) -> dict[str, float]:
    """Figures over all users by `protocol.catalogue.model.metric`; slices are in the table and on the page."""
    return {
        re.sub(r"[^\w. -]", "_", f"{r['protocol']}.{r['catalogue']}.{r['model']}.{r['metric']}"): r["value"]
        for r in rows
        if r["slice"] == EVERYBODY
    }


def _params(config: RunConfig, results: Mapping[str, Result]) -> dict[str, str]:
    settings: dict[str, Any] = {"protocols": ", ".join(results), "seed": config.seed}
    for result in results.values():
        settings |= {"data_sha256": result.get("data_sha256"), "night": result.get("night")}
    for section in ("candidates", "ranking"):
        told = getattr(config, section).model_dump(mode="json")
        settings |= {f"{section}.{name}": value for name, value in told.items()}
    return {name: str(value) for name, value in settings.items()}


def _tags(config: RunConfig, results: Mapping[str, Result]) -> dict[str, str]:
    told = {f"nightrec.{protocol}": headline(result)[1] for protocol, result in results.items()}
    return {"nightrec.kind": "benchmark", "nightrec.run_date": config.night.isoformat(), **told}
