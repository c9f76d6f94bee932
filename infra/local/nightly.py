"""Run one night on this machine through Airflow, show progress, and end with its summary.

`make nightly` calls this. The night runs as `airflow dags test nightly_recommendations` with local Spark and
local Ray; the whole log goes to build/logs/, what a person wants to see while waiting goes to the terminal.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from environment import environment
from jobs.report.summary_text import render_text, with_report_task
from measurement import measurement
from schemas.errors import LakeError
from schemas.night import load_config, run_folder, task_records
from schemas.storage import read_text
from services import scheduler_runs

HOME = Path(__file__).resolve().parents[2]
DAG = "nightly_recommendations"
FROZEN = re.compile(r"frozen configuration: (\S+)")
PLACES = ("report", "mlflow")
"""Parts of a summary that say where things lie on this machine: of no meaning in a benchmark."""
TOLD = (
    # A line of a task's own process, as Airflow repeats it; then one of a task inside Airflow's process.
    re.compile(r"\b(?P<level>INFO|WARNING|ERROR) nightrec[\w.]*: (?P<text>.*?)(?:\s+\[airflow\.[^\]]*\].*)?$"),
    re.compile(r"\[(?P<level>info|warning|error)\s*\] (?P<text>.*?)\s+\[nightrec[\w.]*\]"),
)


def main() -> int:
    """Parse the command line and run or show a night; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="YAML file that describes your data (default: ML-100K)")
    parser.add_argument("--run-date", help="the night, as YYYY-MM-DD (default: what the file says)")
    parser.add_argument("--show-last", action="store_true", help="print the summary of the last run and stop")
    arguments = parser.parse_args()
    os.environ.update(environment(HOME))
    if scheduler_runs():
        # The scheduler of `make up` would also run the tasks of this night, if they shared a database.
        os.environ["AIRFLOW_HOME"] += "-nightly"
    last = HOME / "build" / "run" / "last-night"
    if arguments.show_last:
        if not last.is_file():
            print("No night has run here yet: `make nightly`")
            return 1
        return show(last.read_text().strip(), None)
    started = time.monotonic()
    frozen, status = run(arguments)
    if frozen:
        last.parent.mkdir(parents=True, exist_ok=True)
        last.write_text(frozen)
    if status or not frozen:
        return explain_failure(frozen)
    return show(frozen, time.monotonic() - started)


def run(arguments: argparse.Namespace) -> tuple[str | None, int]:
    """Run the DAG; returns the URI of the run's frozen configuration, if it came so far, and the exit status."""
    conf = {
        "source": str(Path(arguments.config).resolve()) if arguments.config else None,
        "run_date": arguments.run_date,
    }
    log = HOME / "build" / "logs" / f"nightly-{time.strftime('%Y%m%dT%H%M%S')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"The whole log: {log}")
    migrate(log)
    command = airflow("dags", "test", DAG, "--conf", json.dumps({k: v for k, v in conf.items() if v}))
    started, frozen = time.monotonic(), None
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in copied(process, log):
            frozen = found[1] if (found := FROZEN.search(line)) else frozen
            if told := progress(line):
                minutes, seconds = divmod(int(time.monotonic() - started), 60)
                print(f"{minutes:3d}:{seconds:02d}  {told}", flush=True)
    return frozen, process.returncode


def progress(line: str) -> str | None:
    """What a line of the log tells a person who waits; None for the others."""
    found = next((match for pattern in TOLD if (match := pattern.search(line))), None)
    if found is None:
        return None
    level = found["level"].upper()
    return found["text"] if level == "INFO" else f"{level} {found['text']}"


def airflow(*words: str) -> list[str]:
    """An Airflow command line in this environment."""
    return [sys.executable, "-m", "airflow", *words]


def migrate(log: Path) -> None:
    """Create or upgrade Airflow's own database, once per Airflow version."""
    done = Path(os.environ["AIRFLOW_HOME"]) / f".migrated-{version('apache-airflow')}"
    if done.is_file():
        return
    done.parent.mkdir(parents=True, exist_ok=True)
    print("Preparing Airflow's database")
    with log.open("ab") as stream:
        subprocess.run(airflow("db", "migrate"), stdout=stream, stderr=stream, check=True)
    done.touch()


def copied(process: "subprocess.Popen[bytes]", log: Path) -> Iterator[str]:
    """The lines that a process prints, each also appended to the log."""
    assert process.stdout is not None
    with log.open("ab") as stream:
        for line in process.stdout:
            stream.write(line)
            stream.flush()
            yield re.sub(r"\x1b\[[0-9;]*m", "", line.decode(errors="replace")).rstrip()


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
        bench = {"wall_seconds": round(seconds, 1), **measurement(frozen, HOME), "summary": figures}
        path = HOME / "build" / "bench" / "nightly.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(bench, indent=2))
        print(f"Wall time {seconds / 60:.1f} min; figures: {path.relative_to(HOME)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
