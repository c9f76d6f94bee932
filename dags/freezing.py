"""The first task: Params, YAML file and data interval become the one frozen configuration of the run."""

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from dags.params import overrides
from schemas.config import RunConfig, freeze, load_yaml
from schemas.errors import ConfigError

log = logging.getLogger("nightrec.config")


def frozen_config(params: Mapping[str, Any], run_id: str, interval_end: datetime | None) -> RunConfig:
    """Validate everything once. The run date is the Param's, else the file's, else the end of the interval (UTC).

    Raises ConfigError listing every problem, also when there is no run date at all.
    """
    source = params["source"]
    document = load_yaml(source)
    run_date = params.get("run_date") or document.get("run_date") or _night_after(interval_end)
    if run_date is None:
        raise ConfigError(
            source,
            ["run_date: set neither as a Param nor in the file, and this run has no data interval to take it from"],
        )
    return freeze(document, where=source, run_id=run_id, run_date=run_date, **overrides(params))


def _night_after(interval_end: datetime | None) -> date | None:
    # The day at which the interval ends is the night that follows it.
    return interval_end.astimezone(UTC).date() if interval_end else None


def with_champion(config: RunConfig) -> RunConfig:
    """The configuration with the promoted adapter's model and prompts, where it asks for it and there is one.

    From here on `generator.adapter` is the adapter's revision, or None: what a night uses is decided once.
    """
    from schemas.champions import champion_adapter

    generator = config.generator
    if generator.adapter != "champion":
        return config
    found = (
        champion_adapter(config.mlflow_tracking_uri, config.source.name, generator.model)
        if generator.backend == "transformers"
        else None
    )
    if found is None:
        return config.model_copy(update={"generator": generator.model_copy(update={"adapter": None})})
    log.info("generator: %s with adapter %s, version %s", generator.model, found.revision[:12], found.version)
    tuned = {"adapter": found.revision, "path": found.folder}
    tuned |= {"item_prompt": found.item_prompt, "user_prompt": found.user_prompt}
    return config.model_copy(update={"generator": generator.model_copy(update=tuned)})


def save_frozen(params: Mapping[str, Any], run_id: str, interval_end: datetime | None, *, champion: bool = True) -> str:
    """Freeze the configuration, write it into the lake beside the run's records, and return its URI.

    Without `champion` the generator stays the base model that adapters are made for.
    """
    config = frozen_config(params, run_id, interval_end)
    return saved(with_champion(config) if champion else config)


def saved(config: RunConfig) -> str:
    """Write a frozen configuration beside the run's records, say where, and return its URI."""
    from schemas.night import save_config

    uri = save_config(config)
    log.info("night %s of %s, frozen configuration: %s", config.night, config.source.name, uri)
    return uri
