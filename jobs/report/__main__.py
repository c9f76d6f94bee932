"""Write a night's summary and report, and record it in MLflow: `python -m jobs.report --config URI`."""

import json
import logging
from typing import Any

from jobs.report.benchmark import benchmark_view
from jobs.report.experiment_tracking import track_readouts
from jobs.report.experiments import experiments_view, off_policy_view
from jobs.report.history import earlier_nights, read_summaries
from jobs.report.page import render_page
from jobs.report.profile_samples import read_vocabulary, sample_profiles, sample_rejects
from jobs.report.reader import TableReader
from jobs.report.request_samples import sample_requests
from jobs.report.samples import featured_user, read_counts, sample_users
from jobs.report.summary import build_summary
from jobs.report.summary_text import render_text
from jobs.report.tracking import track_night
from jobs.report.trials import trial_view
from schemas.config import RunConfig
from schemas.errors import LakeError
from schemas.manifest import Manifest, read_manifest
from schemas.night import Task, night_task, run_folder, task_arguments, task_records
from schemas.storage import write_text

log = logging.getLogger("nightrec.report")


def report(task: Task) -> dict[str, Any]:
    """Write `summary.json` and `report.html` into the run's folder, then the MLflow run; returns the summary.

    The files are there before MLflow is asked: a tracking server that is down fails the task, not the report.
    """
    config, folder, reader = task.config, run_folder(task.config.lake, task.config.run_id), TableReader(task)
    records = task_records(config)
    evaluations, costs = reader.rows("evaluations"), reader.rows("generation_costs")
    summary = build_summary(config, records, evaluations, read_counts(reader), newest_manifest(config), costs)
    samples, readouts = read_samples(reader), reader.rows("experiment_readouts")
    summary |= {"report": f"{folder}/report.html", "unreadable_tables": reader.unreadable}
    earlier = earlier_nights(read_summaries(config.lake), config)
    page = render_page(summary, config.model_dump(mode="json"), samples, earlier)
    write_text(summary["report"], page)
    write_text(f"{folder}/summary.json", json.dumps(summary, indent=2))
    summary["mlflow"] = track_night(config, summary, page)
    track_readouts(config, readouts)
    write_text(f"{folder}/summary.json", json.dumps(summary, indent=2))
    task.counters.update(report=summary["report"], earlier_nights=len(earlier), mlflow=summary["mlflow"])
    return summary


def read_samples(reader: TableReader) -> dict[str, Any]:
    """What the page shows of the tables beside the summary's figures."""
    users = sample_users(reader)
    return {
        "users": users,
        "featured": featured_user(users),
        "profiles": sample_profiles(reader),
        "rejects": sample_rejects(reader),
        "vocabulary": read_vocabulary(reader),
        **{name: trial_view(reader.newest(f"{name}_trials")) for name in ("tuning", "shadow")},
        "benchmark": benchmark_view(reader.newest("benchmark_evaluations")),
        "requests": sample_requests(reader),
        "experiments": experiments_view(reader.rows("experiment_readouts")),
        "off_policy": off_policy_view(reader.rows("evaluations")),
    }


def newest_manifest(config: RunConfig) -> Manifest | None:
    """What consumers may read of the night; None while it has not been published."""
    try:
        return read_manifest(config.lake, config.night)
    except LakeError:
        return None


def main() -> None:
    """Entry point."""
    with night_task("report", task_arguments("Report of a night")) as task:
        summary = report(task)
    log.info("report: %s\n%s", summary["report"], render_text(summary))


if __name__ == "__main__":
    main()
