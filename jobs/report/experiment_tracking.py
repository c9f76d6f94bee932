"""One MLflow run per experiment, in `nightrec/<source>/experiments`: every night adds a point to each arm's lines."""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from jobs.experiments.metrics import METRICS
from schemas.champions import experiment_id, mlflow_client
from schemas.config import RunConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

FIGURES = ("value", "lift", "low", "high", "p_adjusted", "users")
Row = Mapping[str, Any]


def track_readouts(config: RunConfig, rows: Iterable[Row]) -> dict[str, str]:
    """Record rows of `experiment_readouts`; returns the run of each experiment. Nights are the steps: days counted.

    Raises MlflowException where the store cannot be reached.
    """
    from mlflow.entities import Metric, RunTag

    ordered = sorted(rows, key=lambda row: (row["experiment"], row["arm"], row["metric"]))
    if not ordered:
        return {}
    client, now = mlflow_client(config.mlflow_tracking_uri), int(time.time() * 1000)
    found = {}
    for name, group in groupby(ordered, key=lambda row: str(row["experiment"])):
        own = list(group)
        run = found[name] = _run(client, config, name)
        points = [
            Metric(f"{row['arm']}.{row['metric']}.{figure}", float(row[figure]), now, int(row["days"]))
            for row in own
            for figure in FIGURES
            if row[figure] is not None
        ]
        tags = [RunTag(f"nightrec.verdict.{row['arm']}", row["verdict"]) for row in own if row["verdict"]]
        client.log_batch(run, metrics=points, tags=[RunTag("nightrec.run_date", config.night.isoformat()), *tags])
        client.log_figure(run, lifts_figure(name, own), "plots/lifts.png")
        client.set_terminated(run)
    return found


def lifts_figure(name: str, rows: Sequence[Row]) -> Figure:
    """Each arm's lifts over the control with their intervals, a line per metric."""
    shown = [row for row in rows if row["lift"] is not None]
    figure = Figure(figsize=(8, 1.5 + 0.4 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="#999999", linewidth=1)
    for place, row in enumerate(reversed(shown)):
        lift, low, high = (100 * row[end] for end in ("lift", "low", "high"))
        colour = {"better": "#1a7f5a", "worse": "#b3261e"}.get(row["decision"], "#444444")
        axes.errorbar(lift, place, xerr=[[lift - low], [high - lift]], fmt="o", color=colour, capsize=3)
    labels = [f"{row['arm']}: {METRICS[row['metric']].label}" for row in reversed(shown)]
    axes.set_yticks(range(len(shown)), labels)
    axes.set_xlabel("lift over the control, %")
    axes.set_title(f"{name}, {max((row['days'] for row in rows), default=0)} days", loc="left")
    return figure


def _run(client: "MlflowClient", config: RunConfig, name: str) -> str:
    experiment = experiment_id(client, config.mlflow_tracking_uri, f"nightrec/{config.source.name}/experiments")
    found = client.search_runs([experiment], f"tags.`nightrec.experiment` = '{name}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    return str(client.create_run(experiment, tags={"nightrec.experiment": name}, run_name=name).info.run_id)
