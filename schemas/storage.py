"""Small files and listings on any file system that the lake may live on: local folders, S3, GCS, ..."""

import os
from pathlib import Path

from pyarrow import fs

from schemas.errors import LakeError


def resolve(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI or plain path, and the path on it."""
    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(uri).expanduser().absolute())
    filesystem, path = fs.FileSystem.from_uri(uri)
    return filesystem, path


def write_text(uri: str, text: str) -> None:
    """Write a small text file, whole or not at all.

    Raises LakeError when the place is not writable.
    """
    filesystem, path = resolve(uri)
    try:
        filesystem.create_dir(os.path.dirname(path), recursive=True)
        partial = f"{path}.partial-{os.getpid()}"
        with filesystem.open_output_stream(partial) as stream:
            stream.write(text.encode())
        filesystem.move(partial, path)
    except OSError as error:
        raise LakeError(f"cannot write {uri}: {error}. Check that the folder exists and is writable.") from error


def read_text(uri: str) -> str:
    """Read a small text file. Raises LakeError when it is absent."""
    filesystem, path = resolve(uri)
    try:
        with filesystem.open_input_stream(path) as stream:
            return bytes(stream.read()).decode()
    except OSError as error:
        raise LakeError(f"cannot read {uri}: {error}") from error


def list_files(uri: str, suffix: str = "") -> list[str]:
    """URIs of the files below a folder, sorted; files that engines hide (`_`, `.`) are left out."""
    filesystem, path = resolve(uri)
    found = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    names = [info.path for info in found if info.type == fs.FileType.File]
    visible = [n for n in names if n.endswith(suffix) and not os.path.basename(n).startswith(("_", "."))]
    return [f"{uri.rstrip('/')}/{os.path.relpath(name, path)}" for name in sorted(visible)]


def is_free(uri: str) -> bool:
    """Whether nothing is there: no file, no folder, and nothing that engines hide below one."""
    filesystem, path = resolve(uri)
    return bool(filesystem.get_file_info(path).type == fs.FileType.NotFound)


def file_size(uri: str) -> int:
    """Size of a file in bytes."""
    filesystem, path = resolve(uri)
    return int(filesystem.get_file_info(path).size)


def copy_file(source: str, target: str) -> None:
    """Copy a file within one file system, without its bytes passing through this process where the system can.

    Raises FileNotFoundError when the source is not there.
    """
    filesystem, path = resolve(source)
    if filesystem.get_file_info(path).type != fs.FileType.File:
        raise FileNotFoundError(f"no file {source}")
    destination = resolve(target)[1]
    filesystem.create_dir(os.path.dirname(destination), recursive=True)
    filesystem.copy_file(path, destination)


def delete_folder(uri: str) -> None:
    """Remove a folder and what is in it, if it is there."""
    filesystem, path = resolve(uri)
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        filesystem.delete_dir(path)
