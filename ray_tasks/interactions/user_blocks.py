"""All users block by block and side by side: what becomes of a block is one Parquet file of a stage.

A task that fails or is killed leaves its finished blocks behind, and the next attempt takes them over: it reads the
same pinned tables, learns and fits anew, and then computes only the blocks that are missing. A file is there whole or
not at all, and its name says what it was made from: configuration, versions of the inputs, code, and what the caller
adds.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from ray_tasks.ray_session import in_worker, one_core_task
from schemas.code_digest import code_digest
from schemas.content_hash import content_hash
from schemas.lake import Stage
from schemas.night import Task
from schemas.stage_files import unpublished_files
from schemas.storage import resolve

log = logging.getLogger("nightrec.blocks")

TOLD_SECONDS = 30
"""Between two messages on how far a stage is."""


class Blocks(Protocol):
    """Everything that turns numbered blocks of users into rows; it travels to the workers once per machine."""

    @property
    def count(self) -> int:
        """Number of blocks."""
        ...

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        ...


@dataclass(frozen=True)
class StoredBlocks:
    """Blocks in Ray's object store, where a worker put them: whoever hands them out has a reference."""

    count: int
    reference: Any

    @classmethod
    def made(cls, make: Callable[..., Blocks], *arguments: Any) -> Self:
        """What a worker makes, as soon as it is there; references among the arguments arrive as what they refer to."""
        import ray

        count, reference = in_worker(_counted, make, *arguments, parts=2)
        return cls(ray.get(count), reference)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        import ray

        blocks: Blocks = ray.get(self.reference)
        return blocks.table(number)


@dataclass(frozen=True)
class BlockFiles:
    """Where an attempt puts its blocks, and what earlier ones have finished: files by block."""

    uri: str
    key: str = "block"
    finished: Mapping[int, str] = field(default_factory=dict)

    def uri_of(self, number: int) -> str:
        """The file of a block."""
        return f"{self.uri}/{self.key}-{number:05d}.parquet"


def write_stage(task: Task, stage: Stage, blocks: Blocks, part: str = "", state: str = "") -> int:
    """Write every block into a stage, inside a Ray session; returns how many an earlier attempt had finished.

    `part` tells apart what goes into one stage; `state` names what was learnt or fitted, where the task's inputs and
    configuration do not decide it alone. Of what is taken over, one block is computed again: where it comes out
    differently, the fit did as well, and nothing is taken over.
    """
    key = block_key(task, stage.table.name, part, state)
    found = finished(unpublished_files(task.lake, stage), key, blocks.count)
    if found and not agrees(blocks, *min(found.items())):
        log.warning("%s: an earlier attempt wrote other rows from the same inputs; none are taken over", key)
        found = {}
    if found:
        log.info("%s: %d of %d blocks were finished by earlier attempts", stage.table.name, len(found), blocks.count)
    write_blocks(blocks, stage.uri, BlockFiles(stage.uri, key, found))
    return len(found)


def write_blocks(blocks: Blocks, uri: str, files: BlockFiles | None = None) -> None:
    """Write every block below `uri`, inside a Ray session.

    What the blocks share lies in the object store until they are written. There are as many workers as cores, each
    with one block at a time, so that memory does not grow with the number of users. A worker that dies has its block
    computed again, into the same file.
    """
    import ray

    shared, task = ray.put(blocks), one_core_task(_write)
    waiting = [task.remote(shared, files or BlockFiles(uri), number) for number in range(blocks.count)]
    while waiting:
        written, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=TOLD_SECONDS)
        ray.get(written)  # raises what went wrong in a worker
        if waiting:
            log.info("%d of %d blocks of users are written", blocks.count - len(waiting), blocks.count)


def _counted(make: Callable[..., Blocks], *arguments: Any) -> tuple[int, Blocks]:
    blocks = make(*arguments)
    return blocks.count, blocks


def _write(blocks: Blocks, files: BlockFiles, number: int) -> None:
    put_block(files, number, None if number in files.finished else blocks.table(number))


def put_block(files: BlockFiles, number: int, rows: pa.Table | None) -> None:
    """One block's file: its rows, or without them a copy of the finished one. Whole or not at all, also when killed."""
    filesystem, path = resolve(files.uri_of(number))
    filesystem.create_dir(os.path.dirname(path), recursive=True)
    # An object appears when its upload is complete; a file as soon as it is opened.
    target = f"{path}.partial-{os.getpid()}" if isinstance(filesystem, fs.LocalFileSystem) else path
    if rows is None:
        filesystem.copy_file(resolve(files.finished[number])[1], target)
    else:
        pq.write_table(rows, target, filesystem=filesystem)
    if target != path:
        filesystem.move(target, path)


def finished(uris: Iterable[str], key: str, count: int) -> dict[int, str]:
    """The files of a key by block; of several for one block the last by name."""
    names = {f"{key}-{number:05d}.parquet": number for number in range(count)}
    found = ((names.get(uri.rpartition("/")[2]), uri) for uri in sorted(uris))
    return {number: uri for number, uri in found if number is not None}


def agrees(blocks: Blocks, number: int, uri: str) -> bool:
    """True if a finished file holds the rows that the block has now."""
    filesystem, path = resolve(uri)
    return content_hash(ds.dataset(path, filesystem=filesystem)) == content_hash(ds.dataset(blocks.table(number)))


def block_key(task: Task, *names: str) -> str:
    """Digest of what decides the rows of a block: configuration, versions of the inputs, code, and the names.

    Code that was mended between two attempts takes nothing over.
    """
    decisive = [task.config.config_hash, dict(sorted(task.inputs.items())), code_digest(), *names]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]
