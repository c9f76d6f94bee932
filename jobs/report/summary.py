"""The night's figures in one JSON-able dictionary, from the tasks' records and the evaluations.

Everything here is pure. A part of the night that did not run leaves its figures out (`None` or empty) and is
named in `missing`: a report of a half-failed night is when a report is needed most.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from jobs.report.costs import cost_figures
from jobs.report.figures import Record, comparison, counters_of, funnel, metric_tree, profiles, rows
from schemas.config import RunConfig
from schemas.manifest import Manifest
from schemas.night import code_version

# In the order of the flow; a record that is older than one before it is left over from an earlier attempt.
FLOW = (
    "ingest",
    "features",
    "vocabularies",
    "item_profiles",
    "user_profiles",
    "embeddings",
    "candidates",
    "ranking",
    "explanations",
    "request_recommendations",
    "evaluation",
    "experiment_readouts",
    "publish_night",
)
# What these tasks counted goes into the summary as it is, under their names.
OWN_FIGURES = (
    "vocabularies",
    "candidates",
    "ranking",
    "embeddings",
    "explanations",
    "request_recommendations",
    "experiment_readouts",
)
# The manifest grows with every run and says nothing about whether the night's content changed.
MANIFEST = "runs"


def build_summary(
    config: RunConfig,
    records: Mapping[str, Record],
    evaluations: Iterable[Mapping[str, Any]] = (),
    row_counts: Mapping[str, int] | None = None,
    manifest: Manifest | None = None,
    costs: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Summary of one run.

    `records` are the tasks' records by name, `evaluations` rows of the table, `row_counts` figures that only
    the tables know (`users`, `serving_candidates`, ...), `manifest` the night's newest row in `runs` if it has one,
    `costs` rows of `generation_costs`.
    """
    fresh = {name: record for name, record in records.items() if name != "report"}
    tables, tasks = _tables(fresh), _tasks(fresh)
    metrics, sizes = metric_tree(evaluations)
    return {
        **_identity(config),
        **_publication(tables, manifest),
        **rows(fresh, tables),
        **profiles(config, fresh),
        "costs": cost_figures(costs),
        "counts": dict(row_counts or {}),
        "funnel": funnel(counters_of(fresh, "ingest").get("rows_in", {}), tables, row_counts or {}),
        "metrics": metrics,
        "metric_users": sizes,
        **comparison(metrics),
        **{task: counters_of(fresh, task) for task in OWN_FIGURES},
        "status": _status(tasks),
        "started_at": _started_at(fresh),
        "wall_seconds": _wall_seconds(tasks),
        "tasks": tasks,
        "failures": [{"task": t["name"], "error": t["error"]} for t in tasks if t["status"] == "failed"],
        "missing": _missing(tasks, tables),
    }


def _identity(config: RunConfig) -> dict[str, Any]:
    return {
        "run_id": config.run_id,
        "run_date": config.night.isoformat(),
        "as_of": config.as_of.isoformat(),
        "source": config.source.name,
        "config_hash": config.config_hash,
        "code_version": code_version(),
    }


def _publication(tables: Mapping[str, Any], manifest: Manifest | None) -> dict[str, Any]:
    """The night's tables, which of them hold what they held before, and the row of `runs` that names them.

    A rerun that changed nothing appends no row: what counts is the newest row's content, not who wrote it.
    """
    content = {name: table["content_hash"] for name, table in tables.items() if name != MANIFEST}
    unchanged = sorted(name for name in content if not tables[name]["changed"])
    published = None
    if manifest and content == {name: table.content_hash for name, table in manifest.tables.items()}:
        published = {
            "sequence": manifest.sequence,
            "published_at": manifest.published_at.isoformat(timespec="seconds"),
            "run_id": manifest.run_id,
            "tables": len(manifest.tables),
        }
    return {
        "tables": dict(tables),
        "unchanged_tables": unchanged,
        "same_content": bool(content) and len(unchanged) == len(content),
        "published": published,
    }


def _tables(records: Mapping[str, Record]) -> dict[str, Any]:
    return {
        table: {**output, "task": name}
        for name, record in records.items()
        for table, output in record["outputs"].items()
    }


def _tasks(records: Mapping[str, Record]) -> list[dict[str, Any]]:
    """One entry per task in the order of their starts; `offset` is seconds since the first start."""
    current = [r for r in records.values() if not _stale(r, records)]
    first = min((r["started"] for r in current), default=0.0)
    return [
        {
            "name": name,
            "status": "stale" if _stale(record, records) else record["status"],
            "error": record.get("error"),
            "attempt": record.get("attempt", 1),
            "offset": round(record["started"] - first, 2),
            "seconds": record.get("seconds", 0.0),
            "cpu_seconds": record.get("cpu_seconds", 0.0),
            "peak_rss_mb": record.get("peak_rss_mb", 0),
            **{name: record.get(name, 0) for name in ("rows_read", "bytes_read", "rows_written", "bytes_written")},
            "repeats": record.get("counters", {}).get("repeats"),
        }
        for name, record in records.items()
    ]


def _stale(record: Record, records: Mapping[str, Record]) -> bool:
    if record["name"] not in FLOW:
        return False
    before = FLOW[: FLOW.index(record["name"])]
    return any(records[name]["started"] > record["started"] for name in before if name in records)


def _status(tasks: list[dict[str, Any]]) -> str:
    states = {task["status"] for task in tasks}
    if "failed" in states:
        return "failed"
    done = {task["name"] for task in tasks if task["status"] == "success"}
    return "success" if set(FLOW) - {"publish_night"} <= done else "incomplete"


def _missing(tasks: list[dict[str, Any]], tables: Mapping[str, Any]) -> dict[str, list[str]]:
    from schemas.tables import OUTSIDE, TABLES

    done = {task["name"] for task in tasks if task["status"] != "stale"}
    return {
        "tasks": [name for name in FLOW if name not in done and name != "publish_night"],
        "tables": [name for name in TABLES if name not in (MANIFEST, *OUTSIDE, *tables)],
    }


def _started_at(records: Mapping[str, Record]) -> str | None:
    starts = [r["started"] for r in records.values() if not _stale(r, records)]
    return datetime.fromtimestamp(min(starts), UTC).isoformat(timespec="seconds") if starts else None


def _wall_seconds(tasks: list[dict[str, Any]]) -> float:
    return round(max((t["offset"] + t["seconds"] for t in tasks if t["status"] != "stale"), default=0.0), 1)
