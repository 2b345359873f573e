"""The place a dataset lies at: an absolute URI, the files below it, and URIs of those files."""

import os
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa
from pyarrow import fs

from service.errors import InvalidRequest
from workers.artifact_io import open_filesystem
from workers.data.dataset_roots import ANYWHERE, DatasetRoots
from workers.data.names import readable


@dataclass(frozen=True)
class FoundFile:
    """`name` is relative to the location, with slashes."""

    name: str
    size: int

    @property
    def suffix(self) -> str:
        """Lower case, without the dot."""
        return os.path.splitext(self.name)[1][1:].lower()


@dataclass(frozen=True)
class Location:
    """A folder with its files in sorted order, or a single file (whose `name` is then empty)."""

    uri: str
    """Absolute, without a slash at the end."""
    is_file: bool
    files: tuple[FoundFile, ...]

    def uri_of(self, file: FoundFile) -> str:
        """The absolute URI of a file found here."""
        if not file.name:
            return self.uri
        if "://" not in self.uri:
            return f"{self.uri.rstrip('/')}/{file.name}"
        address, question, query = self.uri.partition("?")
        return f"{address.rstrip('/')}/{quote(file.name)}{question}{query}"


def locate(uri: str, roots: DatasetRoots = ANYWHERE) -> Location:
    """Lists all files below `uri`, hidden ones (a name that begins with a dot) excepted.

    Raises InvalidRequest for `uri` where nothing is there, or the place cannot be opened; OutsideOfRoots where it, or
    a file that a symbolic link in it leads to, may not be read.
    """
    roots.check(uri)
    location = _list(uri)
    if roots != ANYWHERE:
        for file in location.files:
            roots.check(location.uri_of(file))
    return location


def _list(uri: str) -> Location:
    try:
        filesystem, path = open_filesystem(uri)
        path = path.rstrip("/") or "/"
        info = filesystem.get_file_info(path)
        absolute = _absolute(uri, path)
        if info.type == fs.FileType.NotFound:
            raise InvalidRequest("uri", f"{absolute}: there is no such file or folder")
        if info.type == fs.FileType.File:
            return Location(absolute, is_file=True, files=(FoundFile("", info.size),))
        found = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
        sizes = {item.path: item.size for item in found if item.type == fs.FileType.File}
    except UnicodeDecodeError as error:
        problem = f"cannot be listed: a name in it is not UTF-8: {readable(error.object)}"
        raise InvalidRequest("uri", f"{uri}: {problem}") from error
    except (OSError, pa.ArrowException) as error:
        raise InvalidRequest("uri", f"{uri}: cannot be opened: {error}") from error
    prefix = len(path.rstrip("/")) + 1
    files = [FoundFile(path[prefix:], size) for path, size in sizes.items()]
    visible = [file for file in files if not any(part.startswith(".") for part in file.name.split("/"))]
    return Location(absolute, is_file=False, files=tuple(sorted(visible, key=lambda file: file.name)))


def _absolute(uri: str, path: str) -> str:
    if "://" not in uri:
        return path
    address, question, query = uri.partition("?")
    return f"{address.rstrip('/')}{question}{query}"
