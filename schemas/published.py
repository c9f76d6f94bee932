"""The last published night, for tasks that work on finished nights and are not part of one."""

from dataclasses import dataclass

from schemas.errors import LakeError
from schemas.lake import Lake, Snapshot
from schemas.manifest import Manifest, read_manifest
from schemas.night import Task


@dataclass(frozen=True)
class PublishedNight:
    """A night as its manifest pins it."""

    task: Task
    manifest: Manifest

    @classmethod
    def last(cls, task: Task) -> "PublishedNight":
        """The newest published night that is not after the task's run date. Raises LakeError when there is none."""
        lake = Lake(task.config.lake)
        newest = lake.latest("runs", task.config.night)
        if newest is None:
            raise LakeError(f"no night up to {task.config.night} has been published in {lake.root}: run a night first")
        return cls(task, read_manifest(lake.root, newest.run_date))

    def read(self, table: str) -> Snapshot:
        """The night's partition of a table; the task's record names its version. Raises LakeError when it has none."""
        if table not in self.manifest.versions:
            raise LakeError(f"the night of {self.manifest.run_date} has published no table {table}: run a new night")
        found = self.task.lake.snapshot(table, self.manifest.run_date, self.manifest.versions[table])
        self.task.inputs[table] = found.version
        return found
