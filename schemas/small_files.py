"""Small Parquet files of a stage become fewer: readers pay for each, and writers make one per block or partition."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.storage import file_size, resolve

SMALL_BYTES = 8 * 2**20
JOINED_BYTES = 64 * 2**20
"""A file below the first is joined with others of its kind, up to about the second."""


def join_small_files(uris: Sequence[str], schema: pa.Schema) -> list[str]:
    """Join the small ones of some files in one folder; returns the files that are there now, sorted.

    Their rows must have the types of `schema`. A joined file has a row group for each of its parts, so that readers can
    still leave out what they do not look for. It is there whole before its parts go: of a process that is killed in
    between, both are left, in a stage that no other attempt continues.
    """
    left = set(uris)
    for number, parts in enumerate(_groups({uri: file_size(uri) for uri in sorted(uris)})):
        folder = parts[0].rpartition("/")[0]
        filesystem, path = resolve(f"{folder}/joined-{number:05d}.parquet")
        with pq.ParquetWriter(f"{path}.partial", schema, filesystem=filesystem) as writer:
            for uri in parts:
                rows = pq.read_table(resolve(uri)[1], filesystem=filesystem)
                writer.write_table(rows.select(schema.names).cast(schema), row_group_size=max(len(rows), 1))
        filesystem.move(f"{path}.partial", path)
        for uri in parts:
            filesystem.delete_file(resolve(uri)[1])
        left = left - set(parts) | {f"{folder}/joined-{number:05d}.parquet"}
    return sorted(left)


def _groups(sizes: dict[str, int]) -> list[list[str]]:
    """Small files that become one, in their order; a lone one stays as it is."""
    groups: list[list[str]] = [[]]
    for uri, size in sizes.items():
        if size < SMALL_BYTES:
            if sum(sizes[one] for one in groups[-1]) + size > JOINED_BYTES:
                groups.append([])
            groups[-1].append(uri)
    return [group for group in groups if len(group) > 1]
