"""Reads lists of URIs: resolves their entries, reads the parts that registration cuts a list into, fetches images."""

import os
import posixpath
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import is_store_error, open_filesystem, write_bytes
from workers.data.budgets import PIECE_BYTES
from workers.data.dataset_roots import OutsideOfRoots, check_place
from workers.data.errors import BrokenImage, StoreReadError
from workers.data.shards.list_entries import why_never_opened, why_not_there
from workers.data.shards.parquet_shards import open_own_parquet
from workers.data.shards.whole_files import OpenFile, close_all, open_whole, pieces_within, size_of
from workers.plain_uri import NotPlain
from workers.specs.hygiene import BrokenKind

FETCHING_THREADS = 32
"""For small objects of a remote store, each of which takes long to answer and little time to send."""
_WAITS_SECONDS = (0.5, 2.0, 8.0)
"""The waits before a storage that failed is asked again: enough for an overloaded server, not for one that is down."""

_SCHEMA = pa.schema([("key", pa.string()), ("uri", pa.string()), ("label", pa.string()), ("origin", pa.string())])
_SAID_BY_STORE = re.compile(r"AWS Error \w+|google::cloud::Status\(\w+")


@dataclass(frozen=True)
class ListEntry:
    """One image of a list. `uri` is absolute; `label` is None if the list has none."""

    key: str
    uri: str
    label: str | None
    origin: str = ""
    """The list's file and line or row, for messages; "" in parts that an earlier version wrote."""


def resolved(entry: str, list_uri: str) -> str:
    """The absolute URI of an entry of the list at `list_uri`. Relative entries begin at the list's folder.

    An entry without options (`?endpoint_override=...`) takes those of the list if both have the same scheme. An entry
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
    """Writes the entries of a shard, all or none."""
    columns = [[getattr(entry, name) for entry in entries] for name in _SCHEMA.names]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=_SCHEMA), buffer, compression="zstd")
    write_bytes(uri, buffer.getvalue().to_pybytes())


def read_part(uri: str) -> list[ListEntry]:
    """The entries of a shard, in row order. Raises ShardReadError."""
    with open_own_parquet(uri) as file:
        rows = file.read().to_pylist()
    return [ListEntry(**row) for row in rows]


@dataclass(frozen=True)
class Fetched:
    """The files of some entries of a list, in its order."""

    images: list[bytes]
    """b"" stands for an image that cannot be read."""
    unreadable: dict[int, BrokenImage]
    """By place, why an image cannot be read."""


def fetch(uris: Sequence[str], sleep: Callable[[float], None] = time.sleep) -> Fetched:
    """Reads all files at `uris`, which should be few. Raises like `iterate_fetched`."""
    images: list[bytes] = []
    unreadable: dict[int, BrokenImage] = {}
    for piece in iterate_fetched(uris, sleep):
        unreadable.update({len(images) + place: error for place, error in piece.unreadable.items()})
        images += piece.images
    return Fetched(images, unreadable)


def iterate_fetched(uris: Sequence[str], sleep: Callable[[float], None] = time.sleep) -> Iterator[Fetched]:
    """Reads the files at `uris`, many at a time, in pieces of PIECE_BYTES. All are opened before the first is read.

    If the storage fails, it is asked again a few times. Raises StoreReadError for a file that it still does not return:
    as a broken image the file would be lost for good, though nothing is wrong with it.
    """
    with ThreadPoolExecutor(FETCHING_THREADS) as readers:
        opened: list[OpenFile | BrokenImage] = _asked_again(readers, _opened, uris, sleep)
        try:
            for piece in pieces_within([size_of(each) for each in opened], PIECE_BYTES):
                asked: list[tuple[str, OpenFile | BrokenImage]] = [(uris[place], opened[place]) for place in piece]
                found = _asked_again(readers, _contents, asked, sleep)
                yield Fetched(
                    images=[each if isinstance(each, bytes) else b"" for each in found],
                    unreadable={place: each for place, each in enumerate(found) if isinstance(each, BrokenImage)},
                )
        finally:
            close_all(opened)


def sizes_of(uris: Sequence[str]) -> list[int]:
    """The sizes of files in bytes; 0 for a file that cannot be read. Raises StoreReadError."""
    with ThreadPoolExecutor(FETCHING_THREADS) as readers:
        opened = _asked_again(readers, _opened, uris, time.sleep)
    close_all(opened)
    return [size_of(each) for each in opened]


Item = TypeVar("Item")
Found = TypeVar("Found")


def _asked_again(
    readers: ThreadPoolExecutor,
    ask: Callable[[Item], Found | StoreReadError],
    items: Sequence[Item],
    sleep: Callable[[float], None],
) -> list[Found]:
    found = list(readers.map(ask, items))
    for seconds in _WAITS_SECONDS:
        refused = [place for place, each in enumerate(found) if isinstance(each, StoreReadError)]
        if not refused:
            break
        sleep(seconds)
        for place, each in zip(refused, readers.map(ask, [items[place] for place in refused]), strict=True):
            found[place] = each
    given: list[Found] = []
    for each in found:
        if isinstance(each, StoreReadError):
            close_all(found)
            raise each
        given.append(each)
    return given


def _opened(uri: str) -> OpenFile | BrokenImage | StoreReadError:
    # Registration shows these reasons: they say what is wrong, and nothing of what the list holds.
    if (kind := why_never_opened(uri)) is not None:
        return _unreadable(f"the entry is {kind}")
    try:
        check_place(uri)
        return open_whole(*open_filesystem(uri))
    except (OSError, ValueError, OutsideOfRoots, pa.ArrowException) as error:
        return _problem(uri, error)


def _contents(entry: tuple[str, OpenFile | BrokenImage]) -> bytes | BrokenImage | StoreReadError:
    uri, opened = entry
    try:
        return opened.read() if isinstance(opened, OpenFile) else opened
    except (OSError, ValueError, pa.ArrowException) as error:
        return _problem(uri, error)


def _problem(uri: str, error: Exception) -> BrokenImage | StoreReadError:
    if isinstance(error, FileNotFoundError):
        return _unreadable(why_not_there(uri))
    if isinstance(error, OutsideOfRoots):
        return _unreadable(error.message)
    if is_store_error(error):
        return StoreReadError(uri, f"the storage does not give it: {error}")
    return _unreadable(_why_not_read(error))


def _unreadable(reason: str) -> BrokenImage:
    return BrokenImage(BrokenKind.UNREADABLE, reason)


def _why_not_read(error: Exception) -> str:
    if isinstance(error, NotPlain):
        return str(error)
    said = _SAID_BY_STORE.search(str(error))
    if said is not None:
        return f"the storage refuses it: {said[0]}"
    why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
    return f"it cannot be read: {why}"
