"""The promoted adapter of a source: what MLflow's model registry says, in the words that tuning and nights share.

The weekly tuning registers every adapter as a version of one registered model per source. The alias `champion` names
the version that nights use, `challenger` the newest one that was not better than prompting. A version's tags say
where its merged model lies and which model it is an adapter of.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import ModelError

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
MODEL, FOLDER, REVISION, BASE = "nightrec.model", "nightrec.folder", "nightrec.revision", "nightrec.base_revision"
ITEM_PROMPT, USER_PROMPT = "nightrec.item_prompt", "nightrec.user_prompt"


@dataclass(frozen=True)
class Champion:
    """The merged model of the promoted adapter: its folder, revision, and the prompts that it was tuned to."""

    folder: str
    revision: str
    item_prompt: str
    user_prompt: str
    version: str


def registered_name(source: str) -> str:
    """Name of the registered model of a source. MLflow allows neither `/` nor `:` in it."""
    return f"nightrec.{source.replace('/', '_').replace(':', '_')}.generator"


def champion_adapter(tracking_uri: str, source: str, model: str) -> Champion | None:
    """The promoted adapter of a source for the generator named `model`; None where there is none.

    An adapter of another model is not used. Raises ModelError when the promoted model's folder is gone.
    """
    from mlflow.exceptions import MlflowException

    if (store := sqlite_folder(tracking_uri)) is not None and not store.is_dir():
        return None
    try:
        version = mlflow_client(tracking_uri).get_model_version_by_alias(registered_name(source), CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    tags = dict(version.tags)
    if tags.get(MODEL) != model:
        return None
    if not Path(tags[FOLDER]).is_dir():
        raise ModelError(
            f"version {version.version} of {registered_name(source)}, the champion, is not at {tags[FOLDER]}. "
            "Restore the folder, run weekly_tuning again, or set generator.adapter to null."
        )
    return Champion(tags[FOLDER], tags[REVISION], tags[ITEM_PROMPT], tags[USER_PROMPT], str(version.version))


def mlflow_client(tracking_uri: str) -> "MlflowClient":
    """A client of the tracking store and its registry; the folder of an SQLite store is made where it is absent."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_MODEL_CODE_EXECUTION", "false")
    from mlflow import MlflowClient

    if (folder := sqlite_folder(tracking_uri)) is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def sqlite_folder(uri: str) -> Path | None:
    """The folder of an SQLite store; None for any other store."""
    return Path(uri.removeprefix("sqlite:///")).expanduser().absolute().parent if uri.startswith("sqlite:///") else None


def experiment_id(client: "MlflowClient", tracking_uri: str, name: str) -> str:
    """Id of an experiment, which is made where it is absent. An SQLite store keeps its artifacts beside it.

    Raises MlflowException where the store cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        store = sqlite_folder(tracking_uri)
        # Beside the store, so that it does not depend on the folder in which a task happens to run.
        location = (store / "artifacts" / name).as_uri() if store else None
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another task was faster
            if found is None:
                raise
    return str(found.experiment_id)


def ensure_model(client: "MlflowClient", name: str, description: str) -> None:
    """A registered model of that name, made where it is absent. Raises MlflowException where the store is closed."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
