"""Rankers in MLflow: one registered model per source, whose versions say in tags what `champion.Version` holds.

A version is there before its alias: what an interrupted task leaves behind is a run or a version that no alias names
and no tag calls promoted. `champion` names the newest promoted version, `challenger` the newest of all others.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ray_tasks.ranker.champion import Version
from ray_tasks.ranker.election import Entry
from ray_tasks.ranker.gate import ServingModel
from ray_tasks.ranker.serialised import digest_of, from_files, to_files
from schemas.champions import CHALLENGER, CHAMPION, ensure_model, experiment_id, mlflow_client
from schemas.config import RunConfig
from schemas.errors import ModelError

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILES, ABOUT = "model", "about.json"
AS_OF, DIGEST, FITS = "nightrec.as_of", "nightrec.digest", "nightrec.fits"
PROMOTED, REASON, RUN_DATE = "nightrec.promoted", "nightrec.reason", "nightrec.run_date"
HTTP_RETRIES = "3"
"""MLflow's own default waits four minutes for a server that is down, and a night can do without it."""
LONGEST = 500


def registered_ranker(source: str) -> str:
    """Name of the registered model of a source. MLflow allows neither `/` nor `:` in it."""
    return f"nightrec-ranker-{source.replace('/', '_').replace(':', '_')}"


@dataclass(frozen=True)
class RankerRegistry:
    """The registered rankers of a night's source; an `election.Store`. Every call may raise MlflowException."""

    config: RunConfig

    @property
    def name(self) -> str:
        """Of the registered model."""
        return registered_ranker(self.config.source.name)

    @cached_property
    def _client(self) -> "MlflowClient":
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", HTTP_RETRIES)
        return mlflow_client(self.config.mlflow_tracking_uri)

    def versions(self) -> list[Version]:
        """All versions of the source's ranker that nights have registered, in any order."""
        return [_version(int(found.version), found.tags) for found in self._found() if DIGEST in found.tags]

    def load(self, version: Version) -> ServingModel:
        """The model of a version. Raises ModelError when its files are not what was registered."""
        run = str(self._client.get_model_version(self.name, str(version.number)).run_id)
        with TemporaryDirectory() as folder:
            place = Path(self._client.download_artifacts(run, FILES, folder))
            files = {path.name: path.read_text(encoding="utf-8") for path in sorted(place.iterdir())}
        if digest_of(files) != version.digest:
            raise ModelError(f"version {version.number} of {self.name} has other files than were registered")
        return from_files(files)

    def add(self, entry: Entry) -> Version:
        """Register a model, with a run that holds its files, settings, figures and examples."""
        files = to_files(entry.model)
        version = Version(0, entry.as_of, digest_of(files), entry.fits)
        ensure_model(self._client, self.name, "Rankers, by the task `ranking` of every night")
        run = self._log(entry, files)
        tags = {AS_OF: version.as_of.isoformat(), DIGEST: version.digest, FITS: version.fits}
        source = f"{self._client.get_run(run).info.artifact_uri}/{FILES}"
        number = int(self._client.create_model_version(self.name, source, run_id=run, tags=tags).version)
        if all(other.as_of <= entry.as_of for other in self.versions()):
            self._client.set_registered_model_alias(self.name, CHALLENGER, str(number))
        return Version(number, version.as_of, version.digest, version.fits)

    def promote(self, version: Version, as_of: datetime, reason: str) -> None:
        """Make a version the champion of the night at `as_of`; the alias moves unless a later night has one."""
        number = str(version.number)
        self._client.set_model_version_tag(self.name, number, REASON, reason[:LONGEST])
        self._client.set_model_version_tag(self.name, number, PROMOTED, as_of.isoformat())
        if all(other.promoted is None or other.promoted <= as_of for other in self.versions()):
            self._client.set_registered_model_alias(self.name, CHAMPION, number)
        aliases = self._client.get_registered_model(self.name).aliases
        if str(aliases.get(CHALLENGER)) == number:
            self._client.delete_registered_model_alias(self.name, CHALLENGER)

    def _found(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_model_versions(f"name = '{self.name}'", page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _log(self, entry: Entry, files: Mapping[str, str]) -> str:
        from mlflow.entities import Metric, Param, RunTag

        name = f"nightrec/{self.config.source.name}/ranker"
        experiment = experiment_id(self._client, self.config.mlflow_tracking_uri, name)
        night = self.config.night.isoformat()
        run = str(self._client.create_run(experiment, run_name=f"ranker {night}").info.run_id)
        now, decision = int(time.time() * 1000), entry.model.decision
        shown = {**entry.about["parameters"], "sources": ",".join(entry.about["sources"]), "serving": decision.serving}
        self._client.log_batch(
            run,
            [Metric(f"validation_ndcg_10.{model}", value, now, 0) for model, value in decision.ndcg.items()],
            [Param(key, str(value)[:LONGEST]) for key, value in shown.items()],
            [RunTag(RUN_DATE, night), RunTag("nightrec.run_id", self.config.run_id)],
        )
        for file, text in files.items():
            self._client.log_text(run, text, f"{FILES}/{file}")
        self._client.log_text(run, json.dumps(entry.about, indent=1), ABOUT)
        self._client.set_terminated(run)
        return run


def _version(number: int, tags: Mapping[str, str]) -> Version:
    promoted = tags.get(PROMOTED)
    return Version(
        number,
        datetime.fromisoformat(tags[AS_OF]),
        tags[DIGEST],
        tags[FITS],
        datetime.fromisoformat(promoted) if promoted else None,
        tags.get(REASON, ""),
    )
