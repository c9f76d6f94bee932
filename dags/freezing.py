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


def save_frozen(params: Mapping[str, Any], run_id: str, interval_end: datetime | None) -> str:
    """Freeze the configuration, write it into the lake beside the run's records, and return its URI."""
    from schemas.night import save_config

    config = frozen_config(params, run_id, interval_end)
    uri = save_config(config)
    log.info("night %s of %s, frozen configuration: %s", config.night, config.source.name, uri)
    return uri
