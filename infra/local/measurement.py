"""What makes a night's figures comparable: commit, machine, versions, data, seed; and each task's cost."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from schemas.night import load_config, task_records

PACKAGES = ("apache-airflow", "pyspark", "ray", "deltalake", "great-expectations", "mlflow", "torch", "transformers")


def measurement(frozen: str) -> dict[str, Any]:
    """Seed, data and tasks of the run whose frozen configuration is at a URI."""
    config = load_config(frozen)
    records = task_records(config)
    ingested = records.get("ingest", {}).get("outputs", {})
    return {
        "seed": config.seed,
        "data_hash": {name: ingested[name]["content_hash"] for name in ("interactions", "items") if name in ingested},
        "tasks": {
            name: {k: record[k] for k in ("seconds", "cpu_seconds", "peak_rss_mb", "attempt")}
            for name, record in records.items()
        },
    }


def written(home: Path, name: str, figures: Mapping[str, Any]) -> Path:
    """Write figures and their circumstances to build/bench/NAME.json below a checkout; where they are now.

    It may be shared: paths below the checkout lose their beginning.
    """
    path = home / "build" / "bench" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**figures, **circumstances(home)}
    text = json.dumps(document, indent=2, ensure_ascii=False).replace(f"{home}/", "")
    path.write_text(f"{text}\n", encoding="utf-8")
    return path


def circumstances(home: Path) -> dict[str, Any]:
    """Commit of the checkout at `home`, machine and versions: what every measurement names."""
    return {
        "commit": git(home, "rev-parse", "HEAD"),
        "uncommitted_changes": bool(git(home, "status", "--porcelain", "--untracked-files=no")),
        "machine": {
            "cpus": os.cpu_count(),
            "processor": processor(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def git(home: Path, *words: str) -> str:
    """Output of a git command in a checkout; empty where it is none."""
    return subprocess.run(["git", "-C", str(home), *words], capture_output=True, text=True, check=False).stdout.strip()


def processor() -> str:
    """The processor's name, where the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
