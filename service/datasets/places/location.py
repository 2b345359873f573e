"""The location of a dataset: its absolute URI, the files below it, and their URIs."""

import math
import os
from collections import deque
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import fs

from service.datasets.places.local_folder import FolderContents, walk_local_folder
from service.errors import InvalidRequest
from workers.artifact_io import open_filesystem
from workers.data.dataset_roots import ANYWHERE, DatasetRoots, plain_dataset_uri
from workers.data.left_behind import is_hidden_by_somebody, is_left_behind
from workers.data.names import readable, suffix_of
from workers.data.plain_values import MAX_KEY_CHARACTERS, flaw_of, shown
from workers.plain_uri import below


@dataclass(frozen=True)
class FoundFile:
    """A file at a location. `name` is relative to the location, with slashes; `size` is in bytes."""

    name: str
    size: int

    @property
    def suffix(self) -> str:
        """The suffix of the name, in lower case and without the dot."""
        return suffix_of(self.name)


@dataclass(frozen=True)
class Location:
    """A folder with its files in sorted order, or a single file, whose `name` is then empty."""

    uri: str
    """An absolute URI or path without a slash at the end."""
    is_file: bool
    files: tuple[FoundFile, ...]
    folders: tuple[str, ...] = ()
    """The folders below it, including empty ones, if the storage has folders."""
    warnings: tuple[str, ...] = ()
    """What was found there and skipped, one sentence each."""
    is_complete: bool = True
    """Whether all files are listed. Only a bounded listing leaves some out."""

    def uri_of(self, file: FoundFile) -> str:
        """Returns the absolute URI of a file at this location."""
        if not file.name:
            return self.uri
        return below(self.uri, file.name)


def locate(uri: str, roots: DatasetRoots = ANYWHERE, most_files: float = math.inf) -> Location:
    """Lists all files below `uri`, except hidden ones and others that `is_left_behind` names.

    With `most_files`, it stops after the folder in which it has found that many.

    Raises InvalidRequest if nothing is at `uri`, if it cannot be opened, or if a name in it cannot be displayed. Raises
    OutsideOfRoots if the location, or a file that a symbolic link in it leads to, lies outside of `roots`.
    """
    uri = plain_dataset_uri(uri)
    roots.check(uri)
    location = _list(uri, most_files)
    if roots != ANYWHERE:
        for file in location.files:
            roots.check(location.uri_of(file))
    return location


def _list(uri: str, most_files: float) -> Location:
    try:
        filesystem, path = open_filesystem(uri)
        path = path.rstrip("/") or "/"
        info = filesystem.get_file_info(path)
        absolute = _absolute(uri, path)
        if info.type == fs.FileType.NotFound:
            raise InvalidRequest("uri", f"{absolute}: there is no such file or folder")
        if info.type == fs.FileType.File:
            return Location(absolute, is_file=True, files=(FoundFile("", info.size),))
        is_local = isinstance(filesystem, fs.LocalFileSystem)
        contents = walk_local_folder(path, most_files) if is_local else _walk_bucket(filesystem, path, most_files)
    except UnicodeDecodeError as error:
        problem = f"cannot be listed: a name in it is not UTF-8: {readable(error.object)}"
        raise InvalidRequest("uri", f"{uri}: {problem}") from error
    except (OSError, pa.ArrowException) as error:
        raise InvalidRequest("uri", f"{uri}: cannot be opened: {error}") from error
    for name in (*contents.sizes, *contents.folders):
        _check_name(absolute, name)
    return Location(
        absolute,
        is_file=False,
        files=tuple(FoundFile(name, size) for name, size in sorted(contents.sizes.items())),
        folders=tuple(sorted(contents.folders)),
        warnings=_warnings(contents),
        is_complete=contents.is_complete,
    )


def _walk_bucket(filesystem: fs.FileSystem, path: str, most_files: float) -> FolderContents:
    found, is_complete = _all_below(filesystem, path), True
    if most_files < math.inf:
        found, is_complete = _some_below(filesystem, path, most_files)
    named = [(item.path[len(path.rstrip("/")) + 1 :], item) for item in found]
    kept = [(name, item) for name, item in named if not is_left_behind(name)]
    return FolderContents(
        sizes={name: item.size for name, item in kept if item.type == fs.FileType.File},
        folders=[name for name, item in kept if item.type == fs.FileType.Directory],
        hidden_folders=sorted({hidden for name, _ in named if (hidden := _hidden_folder(name)) is not None}),
        is_complete=is_complete,
    )


def _all_below(filesystem: fs.FileSystem, path: str) -> list[fs.FileInfo]:
    """Everything below a folder in one listing, which is faster than one for each folder."""
    found: list[fs.FileInfo] = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    return found


def _some_below(filesystem: fs.FileSystem, path: str, most_files: float) -> tuple[list[fs.FileInfo], bool]:
    """What is below a folder, listed folder by folder until there are enough files, and whether that is all."""
    found: list[fs.FileInfo] = []
    files, waiting = 0, deque([path])
    while waiting and files < most_files:
        here = filesystem.get_file_info(fs.FileSelector(waiting.popleft(), recursive=False))
        found += here
        files += sum(item.type == fs.FileType.File for item in here)
        waiting += [item.path for item in here if item.type == fs.FileType.Directory]
    return found, not waiting


def _hidden_folder(key: str) -> str | None:
    parts = key.split("/")[:-1]
    for number, part in enumerate(parts):
        if is_left_behind(part):
            return "/".join(parts[: number + 1]) if is_hidden_by_somebody(part) else None
    return None


def _check_name(location: str, name: str) -> None:
    parts = name.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        part = "an empty part (two slashes in a row)" if "" in parts else "a part `.` or `..`"
        problem = f"the key {shown(name)} below it has {part}: give it another"
        raise InvalidRequest("uri", f"{location}: cannot be read: {problem}")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        problem = f"cannot be listed: a name in it is not UTF-8: {readable(os.fsencode(name))}"
        raise InvalidRequest("uri", f"{location}: {problem}") from error
    if (flaw := flaw_of(name, MAX_KEY_CHARACTERS)) is not None:
        raise InvalidRequest("uri", f"{location}: a name in it has {flaw}: {shown(name)}; give it another")


def _warnings(contents: FolderContents) -> tuple[str, ...]:
    found = {
        "link(s) to a folder that is read already, or that holds them": contents.repeated_folders,
        "link(s) that lead nowhere": contents.dead_links,
        "hidden folder(s), whose names begin with a dot,": contents.hidden_folders,
        "pipe(s), socket(s) or device(s)": contents.special_files,
    }
    return tuple(
        f"{len(names)} {what} were passed over, the first {shown(min(names))}" for what, names in found.items() if names
    )


def _absolute(uri: str, path: str) -> str:
    if "://" not in uri:
        return path
    address, question, query = uri.partition("?")
    return f"{address.rstrip('/')}{question}{query}"
