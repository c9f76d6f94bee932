"""Read the lists of a few users from `candidates` without touching the other users' files."""

from dataclasses import dataclass
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ray_tasks.ranker.features import Lists
from schemas.lake import Snapshot, of_ids
from schemas.storage import resolve
from schemas.tables.candidates import CANDIDATES


@dataclass(frozen=True)
class CandidateFile:
    """One Parquet file and the smallest and largest (window, user_id) values in it; None where it does not say."""

    uri: str
    windows: tuple[str, str] | None
    users: tuple[str, str] | None

    def may_hold(self, window: str, first: str, last: str) -> bool:
        """False if the file cannot hold the window's users from `first` to `last`."""
        if self.windows is not None and not self.windows[0] <= window <= self.windows[1]:
            return False
        return self.users is None or (self.users[0] <= last and first <= self.users[1])


@dataclass(frozen=True)
class CandidateFiles:
    """The files of one snapshot of `candidates`; their footers are read once."""

    files: tuple[CandidateFile, ...]

    @classmethod
    def of(cls, snapshot: Snapshot) -> "CandidateFiles":
        """Reads every file's footer."""
        return cls(tuple(_describe(uri) for uri in snapshot.uris))

    def read(self, window: str, user_ids: NDArray[Any]) -> Lists:
        """The lists of some users (sorted, at least one) of one window."""
        first, last = str(user_ids[0]), str(user_ids[-1])
        uris = [file.uri for file in self.files if file.may_hold(window, first, last)]
        if not uris:
            return Lists.none()
        filesystem, _ = resolve(uris[0])
        paths = [resolve(uri)[1] for uri in uris]
        wanted = (ds.field("window") == window) & of_ids("user_id", user_ids)
        return Lists.of(ds.dataset(paths, schema=CANDIDATES.schema, filesystem=filesystem).to_table(filter=wanted))


def _describe(uri: str) -> CandidateFile:
    filesystem, path = resolve(uri)
    with filesystem.open_input_file(path) as stream:
        metadata = pq.ParquetFile(stream).metadata
    return CandidateFile(uri, _range(metadata, "window"), _range(metadata, "user_id"))


def _range(metadata: pq.FileMetaData, column: str) -> tuple[str, str] | None:
    index = metadata.schema.to_arrow_schema().names.index(column)
    found = [metadata.row_group(group).column(index).statistics for group in range(metadata.num_row_groups)]
    if not found or any(statistics is None or not statistics.has_min_max for statistics in found):
        return None
    return min(str(statistics.min) for statistics in found), max(str(statistics.max) for statistics in found)
