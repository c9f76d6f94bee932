"""One run of a DAG on this machine as `airflow dags test`, with progress on the terminal and the whole log in a file.

The run needs no scheduler: local Spark and local Ray, the same tasks as on a cluster.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from environment import environment
from services import scheduler_runs

HOME = Path(__file__).resolve().parents[2]
LAST_NIGHT = HOME / "build" / "run" / "last-night"
FROZEN = re.compile(r"frozen configuration: (\S+)")
TOLD = (
    # A line of a task's own process, as Airflow repeats it; then one of a task inside Airflow's process.
    re.compile(r"\b(?P<level>INFO|WARNING|ERROR) nightrec[\w.]*: (?P<text>.*?)(?:\s+\[airflow\.[^\]]*\].*)?$"),
    re.compile(r"\[(?P<level>info|warning|error)\s*\] (?P<text>.*?)\s+\[nightrec[\w.]*\]"),
)


def prepare() -> None:
    """Set this process's environment to that of local runs."""
    os.environ.update(environment(HOME))
    if scheduler_runs():
        # The scheduler of `make up` would also run the tasks of this run, if they shared a database.
        os.environ["AIRFLOW_HOME"] += "-nightly"


def last_night() -> str | None:
    """URI of the frozen configuration of the last night that began here; None, and a word about it, without one."""
    if not LAST_NIGHT.is_file():
        print("No night has run here yet: `make nightly`")
        return None
    return LAST_NIGHT.read_text().strip()


def run_dag(dag: str, params: Mapping[str, Any], log_name: str) -> tuple[str | None, int]:
    """Run a DAG; returns the URI of the run's frozen configuration, if it came so far, and the exit status.

    Params that are None are left to the DAG's defaults. Call `prepare` first.
    """
    log = HOME / "build" / "logs" / f"{log_name}-{time.strftime('%Y%m%dT%H%M%S')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"The whole log: {log}")
    migrate(log)
    conf = json.dumps({name: value for name, value in params.items() if value is not None})
    started, frozen = time.monotonic(), None
    with subprocess.Popen(
        airflow("dags", "test", dag, "--conf", conf), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
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
