"""One MLflow run per night and configuration, in the experiment `nightrec/<source name>`.

A rerun of the same night with the same configuration (everything but the run id) goes into the *same* MLflow
run, found by its tags: parameters are equal by definition, metrics get one more point, artifacts are replaced,
and `nightrec.attempts` counts up. So the experiment reads as one line per night, however often it was repaired.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobs.report.history import Summary
from schemas.champions import experiment_id, mlflow_client
from schemas.config import RunConfig
from schemas.lake import Lake
from schemas.prompt_registry import register_prompts

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Batches as large as MLflow takes; longer values are cut, not refused.
BATCH = 100
LONGEST = 500


def track_night(config: RunConfig, summary: Summary, page: str) -> dict[str, str]:
    """Record a night in MLflow; returns `tracking_uri`, `experiment` and `run_id`.

    Raises MlflowException where the store cannot be reached.
    """
    from mlflow.entities import Metric, Param, RunTag

    client = mlflow_client(config.mlflow_tracking_uri)
    name = f"nightrec/{config.source.name}"
    run_id = _run(client, experiment_id(client, config.mlflow_tracking_uri, name), config)
    now = int(time.time() * 1000)
    # Of an equal configuration only the weights may differ, and MLflow takes no parameter twice: tags tell the newest.
    known = client.get_run(run_id).data.params
    parameters = [Param(k, v[:LONGEST]) for k, v in params_of(config, summary).items() if k not in known]
    for chunk in _chunks(parameters):
        client.log_batch(run_id, params=chunk)
    for chunk in _chunks([Metric(k, v, now, 0) for k, v in metrics_of(summary).items()]):
        client.log_batch(run_id, metrics=chunk)
    tags = tags_of(summary) | _prompt_tag(config, summary)
    for chunk in _chunks([RunTag(k, v) for k, v in tags.items()]):
        client.log_batch(run_id, tags=chunk)
    client.log_inputs(run_id, datasets=_datasets(config, summary))
    _artifacts(client, run_id, config, summary, page)
    client.set_terminated(run_id, "FINISHED" if summary["status"] == "success" else "FAILED")
    return {"tracking_uri": config.mlflow_tracking_uri, "experiment": name, "run_id": run_id}


def flatten(document: Any, prefix: str = "") -> dict[str, str]:
    """Nested mappings as dotted names and texts; lists as JSON. MLflow takes only letters, digits and `_-. :/`."""
    if isinstance(document, Mapping):
        return {k: v for key, value in document.items() for k, v in flatten(value, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): document if isinstance(document, str) else json.dumps(document)}


def params_of(config: RunConfig, summary: Summary) -> dict[str, str]:
    """All settings under dotted names, and what wrote the profiles: prompts, adapter, and the weights' revision."""
    generator = config.generator
    written = {"item_prompt": generator.item_prompt, "user_prompt": generator.user_prompt, **_revision(summary)}
    return flatten(config.model_dump(mode="json", exclude={"run_id"})) | written | {"adapter": str(generator.adapter)}


def _revision(summary: Summary) -> dict[str, str]:
    """`model_revision` of the night's profiles, where the night told its costs."""
    kinds = summary["costs"].get("kinds", {})
    return {"model_revision": ", ".join(sorted({row["model_revision"] for row in kinds.values()}))} if kinds else {}


def metrics_of(summary: Summary) -> dict[str, float]:
    """The night's numbers under names that MLflow allows: `ndcg_10_ranker`, `ndcg_10_ranker.new_users`, ..."""
    found = {
        f"{metric.replace('@', '_')}_{model}{'' if part == 'all' else f'.{part}'}": value
        for model, parts in summary["metrics"].items()
        for part, values in parts.items()
        for metric, value in values.items()
    }
    found |= {f"seconds.{task['name']}": task["seconds"] for task in summary["tasks"]}
    found |= {f"peak_rss_mb.{task['name']}": task["peak_rss_mb"] for task in summary["tasks"]}
    found |= {f"rows.{name}": table["rows"] for name, table in summary["tables"].items()}
    found |= {f"quarantined.{e}": sum(reasons.values()) for e, reasons in summary["quarantined"].items()}
    for kind, counts in summary["profiles"].items():
        found |= {f"profiles_{kind}.{state}": counts[state] for state in ("written", "reused", "retried")}
        found |= {f"profiles_{kind}.{state}": sum(counts[state].values()) for state in ("fallback", "rejected")}
    found |= {f"tokens.{name}": summary["tokens"][name] for name in ("spent", "prompt", "output", "budget")}
    found |= cost_metrics(summary["costs"])
    found |= {f"vocabulary.{kind}": count for kind, count in summary["vocabularies"].get("labels", {}).items()}
    found |= {"generation_seconds": summary["generation_seconds"], "wall_seconds": summary["wall_seconds"]}
    return {name: float(value) for name, value in found.items()}


def cost_metrics(costs: Mapping[str, Any]) -> dict[str, float]:
    """What the night's profiles cost: sums, and by kind (`tokens_spent.item`); unknown figures are left out.

    Unlike `tokens.spent`, which a rerun sets to 0, these are the night's, however often it ran.
    """
    names = {"spent": "tokens_spent", "saved": "tokens_saved", "money": "money", "saved_money": "money_saved"}
    found = {name: costs.get(key) for key, name in names.items()}
    for kind, row in costs.get("kinds", {}).items():
        found |= {f"tokens_spent.{kind}": row["prompt_tokens"] + row["output_tokens"]}
        found |= {f"tokens_saved.{kind}": row["saved_tokens"], f"money.{kind}": row["money"]}
        each = ("tokens_per_thousand", "money_per_thousand", "accept_rate", "failed_attempts")
        found |= {f"{name}.{kind}": row[name] for name in each}
    return {name: value for name, value in found.items() if value is not None}


def tags_of(summary: Summary) -> dict[str, str]:
    """Tags of a night: its run, state, and the version of each table."""
    tags = {
        "nightrec.run_id": summary["run_id"],
        "nightrec.status": summary["status"],
        "nightrec.code_version": summary["code_version"],
        "nightrec.same_content": str(summary["same_content"]).lower(),
        "nightrec.best_single_source": str(summary["best_single_source"]),
        "nightrec.ranker": str(summary["ranking"].get("gate", {}).get("version")),
    }
    tags |= {f"nightrec.{name}": value for name, value in _revision(summary).items()}
    return tags | {f"nightrec.table.{name}": str(table["version"]) for name, table in summary["tables"].items()}


def _prompt_tag(config: RunConfig, summary: Summary) -> dict[str, str]:
    """Register the prompts that the night used, and name them as the registry does."""
    registered = register_prompts(config.mlflow_tracking_uri, summary["prompts"])
    names = ", ".join(f"prompts:/{one.name}/{one.number}" for one in registered.values())
    return {"nightrec.prompts": names} if names else {}


def _run(client: "MlflowClient", experiment: str, config: RunConfig) -> str:
    night, digest = config.night.isoformat(), config.config_hash
    found = client.search_runs(
        [experiment],
        f"tags.`nightrec.run_date` = '{night}' and tags.`nightrec.config_hash` = '{digest}'",
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )
    if found:
        attempts = int(found[0].data.tags.get("nightrec.attempts", "1")) + 1
        client.set_tag(found[0].info.run_id, "nightrec.attempts", str(attempts))
        return str(found[0].info.run_id)
    tags = {"nightrec.run_date": night, "nightrec.config_hash": digest, "nightrec.attempts": "1"}
    return str(client.create_run(experiment, tags=tags, run_name=night).info.run_id)


def _datasets(config: RunConfig, summary: Summary) -> list[Any]:
    """The night's tables as MLflow datasets: source, version, and the content's hash as digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    lake = Lake(config.lake)
    return [
        DatasetInput(
            Dataset(
                name=name,
                digest=table["content_hash"][:32],
                source_type="delta_table",
                source=json.dumps({"path": lake.uri(name), "delta_table_version": table["version"]}),
                profile=json.dumps({"num_rows": table["rows"]}),
            ),
            [InputTag("mlflow.data.context", "nightrec")],
        )
        for name, table in summary["tables"].items()
    ]


def _artifacts(client: "MlflowClient", run_id: str, config: RunConfig, summary: Summary, page: str) -> None:
    from jobs.report.figure import metric_figure
    from jobs.report.ranker_figure import ranker_figure

    client.log_text(run_id, config.model_dump_json(indent=2), "config.json")
    client.log_text(run_id, json.dumps(dict(summary), indent=2), "summary.json")
    client.log_text(run_id, page, "report.html")
    if summary["metrics"]:
        client.log_figure(run_id, metric_figure(summary["metrics"], summary["run_date"]), "plots/metrics.png")
    ranking = summary["ranking"]
    if ranking.get("feature_importance"):
        said = {name: ranking.get(name) for name in ("gate", "trees", "feature_importance", "examples")}
        client.log_text(run_id, json.dumps(said, indent=2), "ranker.json")
        version = ranking.get("gate", {}).get("version", "not registered")
        drawn = ranker_figure(ranking["feature_importance"], ranking.get("examples", []), version, summary["run_date"])
        client.log_figure(run_id, drawn, "plots/ranker.png")


def _chunks(entries: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(entries), BATCH):
        yield list(entries[start : start + BATCH])
