"""Run one night on this machine through Airflow, show progress, and end with its summary.

`make nightly` calls this. The night runs as `airflow dags test nightly_recommendations` with local Spark and
local Ray; the whole log goes to build/logs/, what a person wants to see while waiting goes to the terminal.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from dag_run import HOME, LAST_NIGHT, last_night, prepare, run_dag
from jobs.report.summary_text import render_text, with_report_task
from measurement import measurement, written
from schemas.errors import LakeError
from schemas.night import load_config, run_folder, task_records
from schemas.storage import read_text

DAG = "nightly_recommendations"
PLACES = ("report", "mlflow")
"""Parts of a summary that say where things lie on this machine: of no meaning in a benchmark."""


def main() -> int:
    """Parse the command line and run or show a night; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="YAML file that describes your data (default: ML-100K)")
    parser.add_argument("--run-date", help="the night, as YYYY-MM-DD (default: what the file says)")
    parser.add_argument("--show-last", action="store_true", help="print the summary of the last run and stop")
    arguments = parser.parse_args()
    prepare()
    if arguments.show_last:
        last = last_night()
        return show(last, None) if last else 1
    started = time.monotonic()
    source = str(Path(arguments.config).resolve()) if arguments.config else None
    frozen, status = run_dag(DAG, {"source": source, "run_date": arguments.run_date}, "nightly")
    if frozen:
        LAST_NIGHT.parent.mkdir(parents=True, exist_ok=True)
        LAST_NIGHT.write_text(frozen)
    if status or not frozen:
        return explain_failure(frozen)
    return show(frozen, time.monotonic() - started)


def explain_failure(frozen: str | None) -> int:
    """Say which task failed and why; returns the exit status."""
    print("\nThe night FAILED; nothing of it is in the manifest.")
    if frozen is None:
        print("It ended before its configuration was accepted: the reason stands above and in the log.")
        return 1
    config = load_config(frozen)
    for record in task_records(config).values():
        if record["status"] != "success":
            print(f"\nTask {record['name']}, attempt {record['attempt']}: {record['error']}")
    print(f"\nRecords: {run_folder(config.lake, config.run_id)}\nMend the cause, then run the same command again.")
    return 1


def show(frozen: str, seconds: float | None) -> int:
    """Print the summary of a run and keep its figures as build/bench/nightly.json; returns the exit status."""
    folder = frozen.rsplit("/", 1)[0]
    try:
        summary = with_report_task(json.loads(read_text(f"{folder}/summary.json")), task_records(load_config(frozen)))
    except LakeError as error:
        print(f"The run has no summary yet: {error}")
        return 1
    print("\n" + render_text(summary))
    if seconds is not None:
        figures = {key: value for key, value in summary.items() if key not in PLACES}
        bench = {"wall_seconds": round(seconds, 1), **measurement(frozen), "summary": figures}
        path = written(HOME, "nightly", bench)
        print(f"Wall time {seconds / 60:.1f} min; figures: {path.relative_to(HOME)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
