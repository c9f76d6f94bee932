"""The environment in which Airflow, Spark, Ray, Great Expectations and MLflow run on this machine.

One home for `make nightly`, `make up` and the tests. Only the standard library, so that it can be read before
anything is installed.
"""

import os
import sys
from pathlib import Path


def environment(home: Path) -> dict[str, str]:
    """Variables to add for a checkout at `home`. What the caller's environment already sets is kept."""
    build = home / "build"
    defaults = {
        **_nightrec(home, build),
        **_airflow(home, build),
        **_engines(),
        **_silence(),
    }
    chosen = {name: os.environ.get(name) or value for name, value in defaults.items()}
    return {
        **chosen,
        "PATH": _front(str(Path(sys.executable).parent), "PATH"),
        "PYTHONPATH": _front(str(home), "PYTHONPATH"),
    }


def _nightrec(home: Path, build: Path) -> dict[str, str]:
    return {
        "NIGHTREC_HOME": str(home),
        "NIGHTREC_ASSETS": str(build / "assets"),
        "NIGHTREC_LAKE": str(build / "lake"),
        "NIGHTREC_MLFLOW": f"sqlite:///{build}/mlflow.db",
    }


def _airflow(home: Path, build: Path) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(build / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # One night at a time, and two tasks of it: a laptop has not room for more.
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # The URI form of a connection cannot say local[2].
        "AIRFLOW_CONN_SPARK_DEFAULT": f'{{"conn_type": "spark", "host": "local[{os.cpu_count() or 2}]"}}',
    }


def _engines() -> dict[str, str]:
    return {
        # Else Spark's workers use the system's Python.
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        # Workers are niced by default and would starve beside other load.
        "RAY_worker_niceness": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _silence() -> dict[str, str]:
    """Nothing is reported to anybody, and nothing is fetched, while a night runs."""
    return {
        "DO_NOT_TRACK": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TRANSFORMERS_OFFLINE": "1",
    }


def _front(folder: str, variable: str) -> str:
    """A search path with `folder` in front."""
    others = [part for part in os.environ.get(variable, "").split(os.pathsep) if part and part != folder]
    return os.pathsep.join([folder, *others])
