"""A task that would make what an earlier night's has made publishes that again.

What a task makes is decided by its recipe (configuration, code, and for some tasks a state outside the lake) and by
the content of the tables that it reads. Every record tells both. Where those of the newest published night are today's
as well, its rows are copied, audited and published as this night's, and so are the figures of its record: a night costs
what has changed. `recompute` in the configuration does without.
"""

import hashlib
import json
import logging
from typing import Any

from schemas.code_digest import code_digest
from schemas.config import RunConfig
from schemas.content_hash import undated
from schemas.errors import LakeError
from schemas.lake import Snapshot, Stage
from schemas.manifest import Manifest, newest_manifest
from schemas.night import Task, task_records
from schemas.storage import copy_file, delete_folder

log = logging.getLogger("nightrec.repeat")

NAMES = ("run_id", "run_date", "recompute", "lake", "mlflow_tracking_uri")
"""Settings that say which night it is, where things lie and how, not what is in them."""
REPEATS = "repeats"
"""The counter that names the night whose rows a task has published again."""


def recipe(config: RunConfig, state: str = "") -> str:
    """Digest of what decides a task's rows beside the tables that it reads; equal on two nights that differ in name."""
    settings = config.model_dump_json(exclude=set(NAMES))
    return hashlib.sha256(json.dumps([settings, code_digest(), state]).encode()).hexdigest()


def repeated(task: Task, state: str | None = "") -> bool:
    """True if the task has published an earlier night's rows again; False if it is to compute them.

    `state` tells what lies outside the lake and decides too; None where that cannot be told. To be called before the
    task reads anything. Sets the task's recipe: a task whose own work changes the state sets it anew afterwards.
    """
    if state is None:
        return False
    task.recipe = recipe(task.config, state)
    manifest, earlier = newest_record(task)
    if manifest is None or task.config.recompute or not earlier or not _same(task, earlier):
        return False
    versions = {table: published["version"] for table, published in earlier["outputs"].items()}
    try:
        snapshots = [task.lake.snapshot(table, manifest.run_date, version) for table, version in versions.items()]
        stages = _copied(task, snapshots)
    except (FileNotFoundError, LakeError) as gone:
        log.warning("%s: rows of night %s are gone, computed anew: %s", task.name, manifest.run_date, gone)
        return False
    task.inputs.update({table: task.published[table]["version"] for table in earlier["inputs"]})
    task.counters.update({REPEATS: manifest.run_date.isoformat(), **earlier["counters"]})
    log.info("%s: nothing that decides it has changed since night %s", task.name, task.counters[REPEATS])
    for stage in stages:
        task.publish(stage)
    return True


def newest_record(task: Task) -> tuple[Manifest | None, dict[str, Any]]:
    """The newest published night at or before the task's own, and what it recorded of the task; empty if nothing."""
    manifest = newest_manifest(task.lake, task.config.night)
    if manifest is None:
        return None, {}
    return manifest, task_records(task.config.model_copy(update={"run_id": manifest.run_id})).get(task.name, {})


def _same(task: Task, earlier: dict[str, Any]) -> bool:
    """True if an earlier task succeeded by today's recipe, from tables with today's content."""
    if earlier["status"] != "success" or earlier.get("recipe") != task.recipe:
        return False
    now = {table: undated(found["content_hash"]) for table, found in task.published.items()}
    return all(now.get(table) == content for table, content in earlier["input_contents"].items())


def _copied(task: Task, snapshots: list[Snapshot]) -> list[Stage]:
    """Stages with copies of an earlier night's files. Raises FileNotFoundError, without a stage, where one is gone."""
    stages = []
    for snapshot in snapshots:
        stage = task.stage(snapshot.table)
        stages.append(stage)
        for number, uri in enumerate(snapshot.uris):
            try:
                copy_file(uri, f"{stage.uri}/part-{number:05d}.parquet")
            except FileNotFoundError:
                for begun in stages:
                    delete_folder(begun.uri)
                raise
    return stages
