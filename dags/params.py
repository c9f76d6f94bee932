"""The Params of the trigger form. Bounds and meanings come from RunConfig, which is their only home."""

import os
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from dags.steps import HOME
from schemas.candidates_config import Candidates
from schemas.config import Features, RunConfig
from schemas.generation_config import Generator
from schemas.ranking_config import Ranking
from schemas.source_config import Section

CONFIGS = HOME / "infra" / "configs"
OVERRIDES = {
    "top_k": "ranking__top_k",
    "candidates_per_source": "candidates__per_source",
    "llm_model": "generator__model",
    "llm_path": "generator__path",
    "nightly_token_budget": "generator__nightly_token_budget",
    "full_refresh": "generator__full_refresh",
    "max_users": "features__max_users",
    "recompute": "recompute",
}
"""Param -> the place in the configuration that it overrides, as `schemas.config.freeze` takes it."""


def overrides(params: Mapping[str, Any]) -> dict[str, Any]:
    """What the Params change of the configuration file; an empty Param changes nothing."""
    given = {place: params.get(name) for name, place in OVERRIDES.items()}
    # The form has no empty check box: only a ticked one overrides the file.
    return {place: value for place, value in given.items() if not (value is None or value is False or value == "")}


def night_params() -> dict[str, Param]:
    """The trigger form, in order."""
    return {
        "source": _source(),
        "run_date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Run date",
            description="The night: only events before its midnight (UTC) are seen. "
            "Empty: what the file says, else the end of the data interval",
            section="Night",
        ),
        "max_users": _override(Features, "max_users", "Users at most", "Night"),
        "recompute": _tick(RunConfig, "recompute", "Recompute", "Night"),
        "top_k": _override(Ranking, "top_k", "Recommendations per user", "Recommendations"),
        "candidates_per_source": _override(Candidates, "per_source", "Candidates per source", "Recommendations"),
        "nightly_token_budget": _override(Generator, "nightly_token_budget", "Nightly token budget", "Language model"),
        "llm_model": _override(Generator, "model", "Model", "Language model"),
        "llm_path": _override(Generator, "path", "Model folder", "Language model"),
        "full_refresh": _tick(Generator, "full_refresh", "Full refresh", "Language model"),
    }


def _source() -> Param:
    default = os.environ.get("NIGHTREC_CONFIG") or str(CONFIGS / "ml-100k.yaml")
    shipped = sorted(str(path) for path in CONFIGS.glob("*.yaml"))
    return Param(
        default,
        type="string",
        minLength=1,
        examples=list(dict.fromkeys([default, *shipped])),
        title="Configuration file",
        description="YAML file, as seen by the workers, that says where your data is and how its columns are named",
        section="Night",
    )


def _override(section: type[Section], name: str, title: str, heading: str) -> Param:
    """A nullable Param with the type, bounds and meaning of a field of the configuration."""
    found = _property(section, name)
    bounds = {key: found[key] for key in ("minimum", "maximum", "minLength", "maxLength") if key in found}
    default = found.get("default")
    return Param(
        None,
        type=["null", found["type"]],
        title=title,
        description=f"{found['description']}. Empty: what the file says"
        + (f" (default {default:,})" if isinstance(default, int) else f" (default {default})" if default else ""),
        section=heading,
        **bounds,
    )


def _tick(section: type[Section], name: str, title: str, heading: str) -> Param:
    """A check box for a field of the configuration that is true or false."""
    told = f"{_property(section, name)['description']}. Off: what the file says"
    return Param(False, type="boolean", title=title, description=told, section=heading)


def _property(section: type[Section], name: str) -> dict[str, Any]:
    """The JSON schema of a field; of an optional one, that of its value."""
    found = section.model_json_schema()["properties"][name]
    value = next((option for option in found.get("anyOf", []) if option["type"] != "null"), {})
    return {**found, **value}
