"""The trigger form of a shadow run: a night's Params, and what the challenger does differently."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.sdk import Param

from dags.freezing import frozen_config, saved, with_champion
from dags.params import night_params
from schemas.config import RunConfig, freeze
from schemas.errors import ConfigError
from schemas.shadow import Shadow, save_shadow

CHALLENGER = ("item_prompt", "user_prompt", "model", "path", "adapter")
"""Fields of the section `generator` that a challenger may change: Param `challenger_<field>`."""

NO_ADAPTER = "none"


def shadow_params() -> dict[str, Param]:
    """The trigger form, in order: the challenger, the sample, then the Params of a night."""
    sample = Shadow.model_json_schema()["properties"]["sample"]
    return {
        "challenger_item_prompt": _field("Item prompt", "Version of the item prompt to try, as item_profile.v3"),
        "challenger_user_prompt": _field("User prompt", "Version of the user prompt to try, as user_profile.v3"),
        "challenger_model": _field("Model", "Name of the model to try; of a local one, its folder's name by default"),
        "challenger_path": _field("Model folder", "Folder with safetensors and tokenizer, as seen by the workers"),
        "challenger_adapter": _field("Adapter", f"LoRA adapter: `champion`, a folder, or `{NO_ADAPTER}`"),
        "sample": Param(
            sample["default"],
            type="integer",
            minimum=sample["minimum"],
            maximum=sample["maximum"],
            title="Sample",
            description=sample["description"],
            section="Shadow run",
        ),
        "promote": Param(
            False,
            type="boolean",
            title="Promote",
            description="Move the registry's alias champion to the challenger's prompt unless it is worse. What nights "
            "use stays what the configuration file says",
            section="Shadow run",
        ),
        **night_params(),
    }


def save_shadow_run(params: Mapping[str, Any], run_id: str, when: datetime | None) -> str:
    """Freeze the champion's configuration and the challenger beside it; returns the configuration's URI.

    Raises ConfigError listing every problem, also when nothing differs.
    """
    config = with_champion(frozen_config(params, run_id, when))
    shadow = Shadow(challenger=challenger(config, params), sample=params["sample"], promote=params["promote"])
    save_shadow(config, shadow)
    return saved(config)


def challenger(config: RunConfig, params: Mapping[str, Any]) -> Any:
    """The section `generator` of the challenger. Raises ConfigError."""
    given = {name: params.get(f"challenger_{name}") for name in CHALLENGER}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value}
    if not changed:
        names = ", ".join(f"challenger_{name}" for name in CHALLENGER)
        raise ConfigError("shadow_run", [f"there is nothing to try: set one of {names}"])
    if changed.get("path") and not changed.get("model"):
        changed["model"] = Path(changed["path"]).name
    if changed.get("adapter") == NO_ADAPTER:
        changed["adapter"] = None
    document = config.model_dump(mode="json")
    document["generator"] |= changed
    return freeze(document, where="shadow_run").generator


def _field(title: str, description: str) -> Param:
    return Param(
        None,
        type=["null", "string"],
        title=title,
        description=f"{description}. Empty: as the champion",
        section="Challenger",
    )
