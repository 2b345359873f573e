"""Reads and writes artifacts at any pyarrow.fs URI: a local path, s3://, gs://. Writes are atomic."""

import errno
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, TypedDict
from urllib.parse import parse_qs, urlunsplit

import pyarrow as pa
from pyarrow import fs

from workers.plain_uri import LOCAL, OBJECT_STORES, is_uri, parse_place

_TEMPORARY_SUFFIX = ".tmp"
_STORE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO}
)
# Arrow gives errors of object stores no number, only these words.
_OBJECT_STORES_WORD = re.compile(r"AWS Error (\w+)|google::cloud::Status\((\w+)")
_OF_ONE_OBJECT = frozenset(
    {
        *("ACCESS_DENIED", "NO_SUCH_BUCKET", "NO_SUCH_KEY", "RESOURCE_NOT_FOUND", "OBJECT_NOT_IN_ACTIVE_TIER"),
        *("PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION"),
    }
)
"""The errors of S3 and Google Cloud Storage that concern one object: another attempt would fail as well."""
_GOOGLE_RETRIES = "retry_limit_seconds"
_GOOGLE_RETRY_SECONDS = 20
"""By default Google's client tries for a quarter of an hour, even without credentials."""


def is_store_error(error: BaseException) -> bool:
    """Whether the store is to blame, and not the request.

    The store is to blame for a full disk, a read-only or broken file system, and an object store that is overloaded,
    refuses everyone or cannot be reached. Another attempt may then succeed.
    """
    if isinstance(error, OSError) and error.errno in _STORE_ERRORS:
        return True
    said = _OBJECT_STORES_WORD.search(str(error)) if isinstance(error, (OSError, pa.ArrowException)) else None
    return said is not None and (said[1] or said[2]) not in _OF_ONE_OBJECT and not isinstance(error, FileNotFoundError)


def join_uri(folder_uri: str, *names: str) -> str:
    """Joins `folder_uri` and names below it with single slashes. Options of the URI (`?region=...`) stay at its end."""
    address, question, options = folder_uri.partition("?") if is_uri(folder_uri) else (folder_uri, "", "")
    return "/".join([address.rstrip("/"), *(name.strip("/") for name in names)]) + question + options


def name_of(uri: str) -> str:
    """The last part of a URI, without its options."""
    address = uri.partition("?")[0] if is_uri(uri) else uri
    return address.rstrip("/").rpartition("/")[2]


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of `uri` and the path in it. A URI without a scheme is a local path.

    All URIs with the same bucket and options share one filesystem: to make one takes a lookup of the bucket's region,
    and its connections are worth keeping. Raises NotPlain, a ValueError, for a text that is no plain URI
    (https://arrow.apache.org/docs/python/filesystems.html).
    """
    place = parse_place(uri)
    if place.scheme == LOCAL:
        return _local_filesystem(), place.path
    bucket = place.authority.rpartition("@")[2]
    return _object_store(place.scheme, place.authority, place.query), f"{bucket}/{place.path}".rstrip("/")


@lru_cache(maxsize=64)
def _object_store(scheme: str, authority: str, options: str) -> fs.FileSystem:
    if scheme != "s3" and _GOOGLE_RETRIES not in parse_qs(options):
        options = "&".join(filter(None, [options, f"{_GOOGLE_RETRIES}={_GOOGLE_RETRY_SECONDS}"]))
    return fs.FileSystem.from_uri(urlunsplit((scheme, authority, "/", options, "")))[0]


# A forked process, as a loader's may be, must not share its parent's connections.
os.register_at_fork(after_in_child=_object_store.cache_clear)


def is_local(uri: str) -> bool:
    """Whether `uri` is a path of this machine. Mounted file systems count as local."""
    return parse_place(uri).scheme == LOCAL


@lru_cache(maxsize=1)
def _local_filesystem() -> fs.FileSystem:
    return fs.LocalFileSystem()


def is_object_store(filesystem: fs.FileSystem) -> bool:
    """Whether this is an object store: a file appears whole, when its writer closes it; renames cost a copy."""
    return filesystem.type_name in OBJECT_STORES


class RayStorage(TypedDict, total=False):
    """The options of a RunConfig of Ray Train or Tune that say where it keeps its files."""

    storage_path: str
    storage_filesystem: fs.FileSystem


def ray_storage(folder_uri: str) -> RayStorage:
    """Makes Ray Train or Tune keep its files in `folder_uri` (docs.ray.io, "Configuring Persistent Storage").

    For an object store Ray is given our filesystem, because it would open its own without the options of the URI.
    """
    filesystem, path = open_filesystem(folder_uri)
    if is_object_store(filesystem):
        return {"storage_path": path, "storage_filesystem": filesystem}
    return {"storage_path": path}


def exists(uri: str) -> bool:
    """Whether a file or folder exists at `uri`."""
    filesystem, path = open_filesystem(uri)
    return bool(filesystem.get_file_info(path).type != fs.FileType.NotFound)


def list_files(folder_uri: str) -> dict[str, int]:
    """The sizes in bytes of the files directly in a folder, by name; empty if there is no such folder."""
    filesystem, path = open_filesystem(folder_uri)
    infos = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return {info.base_name: info.size for info in infos if info.type == fs.FileType.File}


def walk_files(folder_uri: str) -> dict[str, int]:
    """The sizes in bytes of all files below a folder, by their path relative to it; empty if there is no folder."""
    filesystem, path = open_filesystem(folder_uri)
    infos = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    prefix = len(path.rstrip("/")) + 1
    return {info.path[prefix:]: info.size for info in infos if info.type == fs.FileType.File}


def read_bytes(uri: str) -> bytes:
    """The content of a file. Raises FileNotFoundError if there is none."""
    filesystem, path = open_filesystem(uri)
    with filesystem.open_input_stream(path) as stream:
        return bytes(stream.read())


def read_bytes_if_there(uri: str) -> bytes | None:
    """The content of a file; None if there is none."""
    try:
        return read_bytes(uri)
    except FileNotFoundError:
        return None


@contextmanager
def local_copy(uri: str) -> Iterator[str]:
    """The path of a file on this machine: its own, or that of a copy that is deleted after the `with` block."""
    filesystem, path = open_filesystem(uri)
    if not is_object_store(filesystem):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, name_of(uri))
        fs.copy_files(path, copy, source_filesystem=filesystem, destination_filesystem=_local_filesystem())
        yield copy


def write_bytes(uri: str, data: bytes) -> None:
    """Writes a whole file or nothing: first under a temporary name, which is then renamed.

    An object store needs no rename: there a file appears when its upload is complete.
    """
    filesystem, path = open_filesystem(uri)
    if is_object_store(filesystem):
        with filesystem.open_output_stream(path) as stream:
            stream.write(data)
        return
    with writing(uri) as stream:
        stream.write(data)


def copy_file(source_uri: str, target_uri: str) -> None:
    """Copies a file within one storage, whole or not at all; an object store copies it itself.

    Raises FileNotFoundError if there is none.
    """
    filesystem, source = open_filesystem(source_uri)
    _, target = open_filesystem(target_uri)
    if is_object_store(filesystem):
        filesystem.copy_file(source, target)
        return
    filesystem.create_dir(target.rpartition("/")[0], recursive=True)
    temporary = temporary_path(target)
    try:
        filesystem.copy_file(source, temporary)
        filesystem.move(temporary, target)
    except BaseException:
        delete_if_there(filesystem, temporary)
        raise


@contextmanager
def writing(uri: str) -> Iterator[IO[bytes]]:
    """A stream to a file that appears, whole, when the `with` block ends; it does not appear if the block raises."""
    filesystem, path = open_filesystem(uri)
    if not is_object_store(filesystem):
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
    # In an object store too: a stream that is closed by an error would leave the half of a file.
    temporary = temporary_path(path)
    try:
        with filesystem.open_output_stream(temporary) as stream:
            yield stream
        filesystem.move(temporary, path)
    except BaseException:
        delete_if_there(filesystem, temporary)
        raise


def temporary_path(path: str) -> str:
    """A name beside `path` that no reader looks at (it begins with a dot) and no other writer uses."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.{uuid.uuid4().hex[:12]}{_TEMPORARY_SUFFIX}"


def delete_temporaries(folder_uri: str) -> int:
    """Deletes the temporary files that killed writers have left directly in a folder, and returns their number.

    A writer that is still writing fails when it renames its file. Call this only where other writers may fail.
    """
    filesystem, path = open_filesystem(folder_uri)
    left = [name for name in list_files(folder_uri) if name.startswith(".") and name.endswith(_TEMPORARY_SUFFIX)]
    for name in left:
        delete_if_there(filesystem, f"{path.rstrip('/')}/{name}")
    return len(left)


def delete_folder(folder_uri: str) -> None:
    """Deletes a folder and everything in it. The folder need not exist."""
    filesystem, path = open_filesystem(folder_uri)
    filesystem.delete_dir_contents(path, missing_dir_ok=True)
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        filesystem.delete_dir(path)


def delete_if_there(filesystem: fs.FileSystem, path: str) -> None:
    """Deletes a file if it exists."""
    if filesystem.get_file_info(path).type != fs.FileType.NotFound:
        filesystem.delete_file(path)
