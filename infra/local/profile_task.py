"""Flame graph of one task of the last night (`make profile TASK=candidates`).

The task runs again on the tables of that night, under py-spy, and computes everything also where the night repeated
an earlier one. Its rows come out as they were, so nothing is committed. Processes that it starts are sampled with it:
Ray's workers are, Spark's JVM is not. Answers of the language model come from where they are kept, as in any rerun.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from dag_run import HOME, last_night, prepare
from schemas.config import RunConfig
from schemas.night import load_config, task_records
from schemas.storage import write_text

FORMATS = {"flamegraph": "svg", "speedscope": "json"}
BUILD = HOME / "build"


def main() -> int:
    """Run the task under py-spy and say where the picture is; returns the task's exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", help="name of a task, as the report's section Time has it")
    parser.add_argument("--format", choices=FORMATS, default="flamegraph", help="speedscope: for www.speedscope.app")
    parser.add_argument("--rate", type=int, default=100, help="samples a second")
    arguments = parser.parse_args()
    prepare()
    last = last_night()
    if last is None:
        return 1
    config = load_config(last)
    tasks = [name for name in task_records(config) if module_of(name)]
    if arguments.task not in tasks:
        print(f"The last night had no task {arguments.task!r}. Its tasks: {', '.join(tasks) or 'none'}")
        return 1
    picture = BUILD / "profile" / f"{arguments.task}.{FORMATS[arguments.format]}"
    return profile(arguments.task, config, picture, arguments.format, arguments.rate)


def module_of(task: str) -> str | None:
    """The module that runs a task as a process of its own; None for tasks inside Airflow."""
    for package in ("jobs", "ray_tasks"):
        if (HOME / package / f"{task}.py").is_file() or (HOME / package / task / "__main__.py").is_file():
            return f"{package}.{task}"
    return None


def profile(task: str, config: RunConfig, picture: Path, form: str, rate: int) -> int:
    """Sample a task of the night that `config` names; returns its exit status."""
    uri = str(BUILD / "profile" / "config.json")
    write_text(uri, config.model_copy(update={"recompute": True}).model_dump_json(indent=2))
    sampler = [str(Path(sys.executable).with_name("py-spy")), "record", "--subprocesses", "--rate", str(rate)]
    command = [sys.executable, "-m", str(module_of(task)), "--config", uri]
    sampler += ["--format", form, "--output", str(picture), "--"]
    status = subprocess.run([*sampler, *command], check=False).returncode
    if picture.is_file():
        print(f"{picture.relative_to(HOME)}: the wider a frame, the more of the samples were inside it")
    return status


if __name__ == "__main__":
    sys.exit(main())
