"""All users block by block and side by side: what becomes of a block is one Parquet file of a stage."""

from functools import partial
from typing import Any, Protocol

import pyarrow as pa


class Blocks(Protocol):
    """Everything that turns numbered blocks of users into rows; it travels to the workers once per machine."""

    @property
    def count(self) -> int:
        """Number of blocks."""
        ...

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        ...


def write_blocks(blocks: Blocks, uri: str) -> None:
    """Write every block below `uri`, inside a Ray session.

    What the blocks share lies in the object store. A worker holds one block at a time, so that memory does not grow
    with the number of users.
    """
    import ray

    if blocks.count:
        rows = partial(_rows, shared=ray.put(blocks))
        numbers = ray.data.range(blocks.count, override_num_blocks=blocks.count)
        numbers.map_batches(rows, batch_size=1).write_parquet(uri)


def _rows(batch: Any, shared: Any) -> pa.Table:
    import ray

    blocks = ray.get(shared)
    return pa.concat_tables([blocks.table(int(number)) for number in batch["id"]])
