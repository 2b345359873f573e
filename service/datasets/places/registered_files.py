"""The files that a registration read, with their sizes and times: a later version finds what is new or changed."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from service.config.datasets import DatasetRequest
from service.datasets.places.location import FoundFile, Location
from service.errors import InvalidRequest
from workers.artifact_io import is_local, open_filesystem, read_bytes_if_there, write_bytes
from workers.data.plain_values import shown
from workers.specs.datasets import DatasetManifest, Shard

_FILES_A_CALL = 1000
_SHOWN = 5
_REQUEST = b"noisy_student.dataset_request"


@dataclass(frozen=True)
class RegisteredFile:
    """A file as it was when it was registered: its size in bytes, and when it was last modified.

    Both are None for a file of a dataset that was registered before they were kept. `modified_ns` is also None where
    the storage does not tell.
    """

    uri: str
    size: int | None
    modified_ns: int | None


@dataclass(frozen=True)
class Registration:
    """What a dataset was registered with: the request, and the files that were read."""

    request: DatasetRequest
    files: tuple[RegisteredFile, ...]


def files_there(location: Location, files: Sequence[FoundFile]) -> tuple[RegisteredFile, ...]:
    """Returns the files of a location as they are now."""
    uris = [location.uri_of(file) for file in files]
    return tuple(RegisteredFile(uri, info.size, info.mtime_ns) for uri, info in zip(uris, _infos(uris), strict=True))


def write_registration(uri: str, registration: Registration) -> None:
    """Writes the list of files, and in its footer the request."""
    files = registration.files
    table = pa.table(
        {
            "uri": pa.array([file.uri for file in files], pa.string()),
            "size": pa.array([file.size for file in files], pa.int64()),
            "modified_ns": pa.array([file.modified_ns for file in files], pa.int64()),
        }
    ).replace_schema_metadata({_REQUEST: registration.request.model_dump_json()})
    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_bytes(uri, buffer.getvalue())


def read_registration(uri: str) -> Registration | None:
    """Returns what `write_registration` wrote; None for a dataset that was registered before it was kept."""
    data = read_bytes_if_there(uri)
    if data is None:
        return None
    table = pq.read_table(BytesIO(data))
    columns = (table[name].to_pylist() for name in ("uri", "size", "modified_ns"))
    return Registration(
        request=DatasetRequest.model_validate_json(table.schema.metadata[_REQUEST]),
        files=tuple(RegisteredFile(*values) for values in zip(*columns, strict=True)),
    )


def files_of_shards(shards: Iterable[Shard]) -> tuple[RegisteredFile, ...]:
    """Returns the files of a dataset that was registered before its files were kept: their sizes are not known."""
    return tuple(
        RegisteredFile(uri, None, None)
        for shard in shards
        for uri in ([f"{shard.uri.rstrip('/')}/{member}" for member in shard.members] or [shard.uri])
    )


def check_unchanged(files: Sequence[RegisteredFile], manifest: DatasetManifest) -> None:
    """Raises InvalidRequest, which names the files, if some have vanished or are no longer what was registered."""
    infos = list(_infos([file.uri for file in files]))
    vanished = [file.uri for file, info in zip(files, infos, strict=True) if info.type != fs.FileType.File]
    changed = [
        file.uri
        for file, info in zip(files, infos, strict=True)
        if info.type == fs.FileType.File and not _is_same(file, info)
    ]
    found = [
        f"{len(names):,} {what}: {_listed(names)}"
        for names, what in ((vanished, "have vanished"), (changed, "have changed"))
        if names
    ]
    if found:
        advice = "put new entries into a list of their own" if manifest.format == "uri_list" else "put them back"
        raise InvalidRequest(
            "uri",
            f"of the files of {manifest.called}, {'; '.join(found)}; a version keeps the files of the one before: "
            f"{advice}, or register a dataset anew",
        )


def without_known(
    location: Location, files: Sequence[FoundFile], known: Iterable[RegisteredFile]
) -> tuple[list[FoundFile], int]:
    """Returns the files at a location that are not among the known ones, and how many are."""
    places = {_place(file.uri) for file in known}
    new = [file for file in files if _place(location.uri_of(file)) not in places]
    return new, len(files) - len(new)


def _place(uri: str) -> str:
    """Returns one name for a file of this machine, whichever links lead to it."""
    return os.path.realpath(open_filesystem(uri)[1]) if is_local(uri) else uri


def _is_same(file: RegisteredFile, info: fs.FileInfo) -> bool:
    return file.size in (None, info.size) and file.modified_ns in (None, info.mtime_ns)


def _infos(uris: Sequence[str]) -> Iterator[fs.FileInfo]:
    for start in range(0, len(uris), _FILES_A_CALL):
        some = [open_filesystem(uri) for uri in uris[start : start + _FILES_A_CALL]]
        for filesystem, group in groupby(some, key=itemgetter(0)):
            yield from filesystem.get_file_info([path for _, path in group])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(shown(name) for name in sorted(names)[:_SHOWN]) + more
