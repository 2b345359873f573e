"""Reads and writes artifacts at any pyarrow.fs URI: a local path, s3://, gs://. Writes are atomic."""

import os
import uuid
from functools import lru_cache

from pyarrow import fs


def join_uri(folder_uri: str, *names: str) -> str:
    """`folder_uri` and the names below it, with single slashes."""
    return "/".join([folder_uri.rstrip("/"), *(name.strip("/") for name in names)])


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of `uri` and the path in it. A URI without a scheme is a local path."""
    if "://" not in uri:
        return _local_filesystem(), os.path.abspath(uri)
    filesystem, path = fs.FileSystem.from_uri(uri)
    return filesystem, path


@lru_cache(maxsize=1)
def _local_filesystem() -> fs.FileSystem:
    return fs.LocalFileSystem()


def exists(uri: str) -> bool:
    """Whether there is a file or folder at `uri`."""
    filesystem, path = open_filesystem(uri)
    return bool(filesystem.get_file_info(path).type != fs.FileType.NotFound)


def list_files(folder_uri: str) -> dict[str, int]:
    """Names and sizes in bytes of the files directly in a folder; empty where there is no such folder."""
    filesystem, path = open_filesystem(folder_uri)
    infos = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return {info.base_name: info.size for info in infos if info.type == fs.FileType.File}


def walk_files(folder_uri: str) -> dict[str, int]:
    """Sizes in bytes of all files below a folder, by their names relative to it; empty where there is no folder."""
    filesystem, path = open_filesystem(folder_uri)
    infos = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    prefix = len(path.rstrip("/")) + 1
    return {info.path[prefix:]: info.size for info in infos if info.type == fs.FileType.File}


def read_bytes(uri: str) -> bytes:
    """The whole file. Raises FileNotFoundError where there is none."""
    filesystem, path = open_filesystem(uri)
    with filesystem.open_input_stream(path) as stream:
        return bytes(stream.read())


def read_bytes_if_there(uri: str) -> bytes | None:
    """The whole file, or None where there is none."""
    try:
        return read_bytes(uri)
    except FileNotFoundError:
        return None


def write_bytes(uri: str, data: bytes) -> None:
    """Writes a file as a whole or not at all: a temporary name beside it, then a rename."""
    filesystem, path = open_filesystem(uri)
    folder = path.rpartition("/")[0]
    filesystem.create_dir(folder, recursive=True)
    temporary = temporary_path(path)
    try:
        with filesystem.open_output_stream(temporary) as stream:
            stream.write(data)
        filesystem.move(temporary, path)
    except BaseException:
        delete_if_there(filesystem, temporary)
        raise


def temporary_path(path: str) -> str:
    """A name beside `path` that no reader looks at (it begins with a dot) and no other writer uses."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.{uuid.uuid4().hex[:12]}.tmp"


def delete_if_there(filesystem: fs.FileSystem, path: str) -> None:
    """Deletes a file that may never have come to be."""
    if filesystem.get_file_info(path).type != fs.FileType.NotFound:
        filesystem.delete_file(path)
