"""Reads the log of a Delta table, which says which of the folder's Parquet files currently belong to the table."""

import json
from collections.abc import Iterator
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from service.datasets.places.location import Location
from service.errors import InvalidRequest
from workers.artifact_io import open_filesystem
from workers.data.dataset_roots import check_place
from workers.data.shards.whole_files import check_regular
from workers.plain_uri import below

_LOG = "_delta_log"
_MOST_BYTES = 64 << 20
_ADVICE = "write the table anew as plain Parquet files, and register those"


def delta_files(location: Location) -> frozenset[str] | None:
    """Returns the names of the files that belong to the table, or None if the folder is not a Delta table.

    A file that was removed from the table stays in the folder, but its rows must not come back. Raises InvalidRequest
    for a log that is incomplete, too long or unreadable, or that removes single rows.
    """
    filesystem, root = open_filesystem(location.uri)
    check_place(below(location.uri, _LOG))
    found = filesystem.get_file_info(fs.FileSelector(f"{root}/{_LOG}", allow_not_found=True))
    commits = sorted((info for info in found if info.base_name.endswith(".json")), key=lambda info: info.base_name)
    if not commits and not any(info.base_name.endswith(".parquet") for info in found):
        return None
    if [info.base_name for info in commits] != [f"{number:020}.json" for number in range(len(commits))]:
        raise InvalidRequest("uri", f"{location.uri}: the log of this Delta table is kept in checkpoints: {_ADVICE}")
    if sum(info.size for info in commits) > _MOST_BYTES:
        raise InvalidRequest("uri", f"{location.uri}: the log of this Delta table is too long: {_ADVICE}")
    names: set[str] = set()
    is_table = False
    for info in commits:
        check_place(below(location.uri, f"{_LOG}/{info.base_name}"))
        check_regular(location.uri, filesystem, info.path)
        for action in _actions(filesystem, info.path, location):
            if isinstance(added := action.get("add"), dict):
                if added.get("deletionVector"):
                    raise InvalidRequest("uri", f"{location.uri}: rows were deleted from this Delta table: {_ADVICE}")
                names.add(unquote(str(added.get("path"))))
                is_table = True
            if isinstance(removed := action.get("remove"), dict):
                names.discard(unquote(str(removed.get("path"))))
    return frozenset(names) if is_table else None


def _actions(filesystem: fs.FileSystem, path: str, location: Location) -> Iterator[dict[str, object]]:
    try:
        with filesystem.open_input_stream(path, compression=None) as stream:
            lines = bytes(stream.read()).splitlines()
        yield from (action for line in lines if isinstance(action := json.loads(line), dict))
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        name = path.rpartition("/")[2]
        raise InvalidRequest("uri", f"{location.uri}: its Delta log cannot be read: {name}: {_ADVICE}") from error
