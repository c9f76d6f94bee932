"""What a run of the ranking benchmark on a lake's own data measures. Frozen beside the run's configuration."""

from typing import Literal

from pydantic import Field

from schemas.config import RunConfig
from schemas.source_config import Section
from schemas.storage import read_text, write_text


class Benchmark(Section):
    """What is measured; sources, grids, ranker and seed are those of the run's configuration."""

    protocols: tuple[Literal["p1", "p2"], ...] = Field(
        ("p1",), min_length=1, description="p1: all users are cut at one moment; p2: each user's last item is left out"
    )
    users: int | None = Field(
        None, ge=10, description="Users measured at most, drawn by the seed; all others teach only. None: all"
    )


def save_benchmark(config: RunConfig, benchmark: Benchmark) -> str:
    """Write what is to be measured beside the frozen configuration; returns its URI."""
    uri = _uri(config)
    write_text(uri, benchmark.model_dump_json(indent=2))
    return uri


def load_benchmark(config: RunConfig) -> Benchmark:
    """What the run measures. Raises LakeError where the run is not one of the benchmark."""
    return Benchmark.model_validate_json(read_text(_uri(config)))


def _uri(config: RunConfig) -> str:
    from schemas.night import run_folder  # brings the lake, which a DAG file must not import

    return f"{run_folder(config.lake, config.run_id)}/benchmark.json"
