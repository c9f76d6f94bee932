"""What a shadow run compares: the night's generator with a challenger, on a sample. Frozen beside the run's config."""

from pydantic import Field

from schemas.config import RunConfig
from schemas.generation_config import Generator
from schemas.source_config import Section
from schemas.storage import read_text, write_text


class Shadow(Section):
    """A comparison: the run's configuration is the champion, `challenger` what might take its generator's place."""

    challenger: Generator
    sample: int = Field(60, ge=10, le=5_000, description="Items and users, of each so many, that both write about")
    promote: bool = Field(False, description="Move the alias champion to the challenger's prompt unless it is worse")


def save_shadow(config: RunConfig, shadow: Shadow) -> str:
    """Write what is to be compared beside the frozen configuration; returns its URI."""
    uri = _uri(config)
    write_text(uri, shadow.model_dump_json(indent=2))
    return uri


def load_shadow(config: RunConfig) -> Shadow:
    """What the run compares. Raises LakeError where the run is not a shadow run."""
    return Shadow.model_validate_json(read_text(_uri(config)))


def _uri(config: RunConfig) -> str:
    from schemas.night import run_folder  # brings the lake, which a DAG file must not import

    return f"{run_folder(config.lake, config.run_id)}/shadow.json"
