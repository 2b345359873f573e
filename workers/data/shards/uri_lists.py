"""Lists of URIs: where an entry of a list lies, the parts that registration cuts a list into, and their images."""

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
    """The files at `uris`, all of them: for a few. Raises as `iterate_fetched` does."""
    images: list[bytes] = []
    unreadable: dict[int, BrokenImage] = {}
    for piece in iterate_fetched(uris, sleep):
        unreadable.update({len(images) + place: error for place, error in piece.unreadable.items()})
        images += piece.images
    return Fetched(images, unreadable)


def iterate_fetched(uris: Sequence[str], sleep: Callable[[float], None] = time.sleep) -> Iterator[Fetched]:
    """The files at `uris`, many at a time, in pieces of PIECE_BYTES; all are opened before one is read.

    Where the storage fails, it is asked again after a while, a few times. Raises StoreReadError for a file that it does
    not give then: as a broken image it would be lost for good, though there is nothing wrong with it.
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
    """In bytes; 0 for what cannot be read. Raises StoreReadError."""
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
    failed = next((each for each in found if isinstance(each, StoreReadError)), None)
    if failed is not None:
        close_all(found)
        raise failed
    return found  # type: ignore[return-value]  # what the storage did not give has been raised


def _opened(uri: str) -> OpenFile | BrokenImage | StoreReadError:
    # Reasons say what is wrong and not what stands in the list: registration shows them.
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
