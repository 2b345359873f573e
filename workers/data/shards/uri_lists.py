"""Lists of URIs: where an entry of a list lies, the parts that registration cuts a list into, and their images."""

import os
import posixpath
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from workers.artifact_io import is_store_error, open_filesystem, write_bytes
from workers.data.budgets import MOST_IMAGE_BYTES
from workers.data.dataset_roots import OutsideOfRoots, check_place
from workers.data.errors import BrokenImage, StoreReadError
from workers.data.shards.list_entries import why_never_opened, why_not_there
from workers.data.shards.parquet_shards import open_own_parquet
from workers.plain_uri import NotPlain
from workers.specs.hygiene import BrokenKind

FETCHING_THREADS = 32
"""Small objects of a remote store: each takes long to answer, and little to send."""
_WAITS_SECONDS = (0.5, 2.0, 8.0)
"""Before a storage that failed is asked again: enough for a server that is overloaded, not for one that is away."""

_SCHEMA = pa.schema([("key", pa.string()), ("uri", pa.string()), ("label", pa.string()), ("origin", pa.string())])
_SAID_BY_STORE = re.compile(r"AWS Error \w+|google::cloud::Status\(\w+")


@dataclass(frozen=True)
class ListEntry:
    """An image of a list. `uri` is absolute; `label` is None where there is none."""

    key: str
    uri: str
    label: str | None
    origin: str = ""
    """The list's file and line or row, for messages; "" where an earlier version wrote the part."""


def resolved(entry: str, list_uri: str) -> str:
    """The absolute URI of an entry of the list at `list_uri`: relative ones begin at the list's folder.

    An entry without options of its own (`?endpoint_override=...`) takes the list's, where both are of one scheme. One
    that can never be opened stays as it is.
    """
    if why_never_opened(entry) is not None:
        return entry
    at = urlsplit(list_uri) if "://" in list_uri else None
    if "://" in entry:
        parts = urlsplit(entry)
        takes_options = at is not None and parts.scheme == at.scheme and not parts.query
        return urlunsplit(parts._replace(query=at.query)) if takes_options and at is not None else entry
    if at is None or entry.startswith("/"):
        return os.path.normpath(os.path.join(os.path.dirname(list_uri), entry))
    path = posixpath.normpath(posixpath.join("/", posixpath.dirname(unquote(at.path)), entry))
    return urlunsplit(at._replace(path=quote(path)))


def write_part(uri: str, entries: Sequence[ListEntry]) -> None:
    """Writes a shard's entries, whole or not at all."""
    columns = [[getattr(entry, name) for entry in entries] for name in _SCHEMA.names]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=_SCHEMA), buffer, compression="zstd")
    write_bytes(uri, buffer.getvalue().to_pybytes())


def read_part(uri: str) -> list[ListEntry]:
    """A shard's entries, in row order. Raises ShardReadError."""
    with open_own_parquet(uri) as file:
        rows = file.read().to_pylist()
    return [ListEntry(**row) for row in rows]


@dataclass(frozen=True)
class Fetched:
    """Files of a list, in its order."""

    images: list[bytes]
    """b"" for one that cannot be read."""
    unreadable: dict[int, BrokenImage]
    """By place, the reason."""


def fetch(uris: Sequence[str], sleep: Callable[[float], None] = time.sleep) -> Fetched:
    """The files at `uris`, many at a time.

    Where the storage fails, it is asked again after a while, a few times. Raises StoreReadError for a file that it does
    not give then: as a broken image it would be lost for good, though there is nothing wrong with it.
    """
    with ThreadPoolExecutor(FETCHING_THREADS) as readers:
        found = dict(enumerate(readers.map(_fetched, uris)))
        for seconds in _WAITS_SECONDS:
            refused = [place for place, each in found.items() if isinstance(each, StoreReadError)]
            if not refused:
                break
            sleep(seconds)
            found.update(zip(refused, readers.map(_fetched, [uris[place] for place in refused]), strict=True))
    for each in found.values():
        if isinstance(each, StoreReadError):
            raise each
    return Fetched(
        images=[each if isinstance(each, bytes) else b"" for each in found.values()],
        unreadable={place: each for place, each in found.items() if isinstance(each, BrokenImage)},
    )


def _fetched(uri: str) -> bytes | BrokenImage | StoreReadError:
    # Reasons say what is wrong and not what stands in the list: registration shows them.
    if (kind := why_never_opened(uri)) is not None:
        return _unreadable(f"the entry is {kind}")
    try:
        check_place(uri)
        filesystem, path = open_filesystem(uri)
        if (problem := _no_regular_file(filesystem, path)) is not None:
            return _unreadable(problem)
        with filesystem.open_input_file(path) as file:
            if file.size() > MOST_IMAGE_BYTES:
                return BrokenImage(BrokenKind.TOO_LARGE, f"more than {MOST_IMAGE_BYTES} bytes")
            return bytes(file.read())
    except FileNotFoundError:
        return _unreadable(why_not_there(uri))
    except OutsideOfRoots as error:
        return _unreadable(error.message)
    except (OSError, ValueError, pa.ArrowException) as error:
        if is_store_error(error):
            return StoreReadError(uri, f"the storage does not give it: {error}")
        return _unreadable(_why_not_read(error))


def _unreadable(reason: str) -> BrokenImage:
    return BrokenImage(BrokenKind.UNREADABLE, reason)


def _no_regular_file(filesystem: fs.FileSystem, path: str) -> str | None:
    """Why a local path must not be opened: a pipe may give nothing for ever, a device no end."""
    if not isinstance(filesystem, fs.LocalFileSystem):
        return None
    found = filesystem.get_file_info(path).type
    if found == fs.FileType.Directory:
        return "it is a folder"
    return "it is a pipe, a socket or a device" if found == fs.FileType.Unknown else None


def _why_not_read(error: Exception) -> str:
    if isinstance(error, NotPlain):
        return str(error)
    said = _SAID_BY_STORE.search(str(error))
    if said is not None:
        return f"the storage refuses it: {said[0]}"
    why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
    return f"it cannot be read: {why}"
