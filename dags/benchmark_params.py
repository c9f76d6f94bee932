"""The trigger form of the ranking benchmark: whose data, which sources, and how it is measured."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk import Param

from dags.freezing import frozen_config, saved
from dags.params import night_params
from schemas.benchmark import Benchmark, save_benchmark
from schemas.candidates_config import SOURCES
from schemas.config import freeze

PROTOCOLS = {"p1": ("p1",), "p2": ("p2",), "both": ("p1", "p2")}
SECTION = "Benchmark"


def benchmark_params() -> dict[str, Param]:
    """The trigger form, in order."""
    night = night_params()
    users = Benchmark.model_json_schema()["properties"]["users"]
    return {
        "source": night["source"],
        "run_date": night["run_date"],
        "protocol": Param(
            "p1",
            type="string",
            enum=list(PROTOCOLS),
            title="Protocol",
            description="p1 cuts all users at one moment, as a night does; p2 leaves each user's last item out",
            section=SECTION,
        ),
        "sources": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": list(SOURCES)},
            examples=list(SOURCES),
            title="Sources",
            description="Candidate sources that compete and that the ranker blends. Empty: those of the file",
            section=SECTION,
        ),
        "users": Param(
            None,
            type=["null", "integer"],
            minimum=next(option["minimum"] for option in users["anyOf"] if "minimum" in option),
            title="Users",
            description=f"{users['description'].removesuffix('. None: all')}. Empty: all",
            section=SECTION,
        ),
        "seed": Param(
            None,
            type=["null", "integer"],
            title="Seed",
            description="Of samples, training and intervals. Empty: what the file says",
            section=SECTION,
        ),
    }


def save_benchmark_run(params: Mapping[str, Any], run_id: str, when: datetime | None) -> str:
    """Freeze the configuration, with the sources and the seed that were asked for, and what is to be measured.

    Returns the configuration's URI. Raises ConfigError listing every problem.
    """
    config = frozen_config(params, run_id, when)
    asked = {"candidates__sources": params.get("sources") or None, "seed": params.get("seed")}
    config = freeze(config.model_dump(mode="json"), where="benchmark", **asked)
    save_benchmark(config, Benchmark(protocols=PROTOCOLS[params["protocol"]], users=params.get("users")))
    return saved(config)
