"""Chooses a dataset's files at a location: by suffix, or by content for images and tables with an unknown suffix."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.datasets.formats.arrow_source import ARROW_SUFFIXES
from service.datasets.formats.delta_log import delta_files
from service.datasets.formats.hugging_face import current_files
from service.datasets.formats.list_files import LIST_SUFFIXES
from service.datasets.formats.parquet_source import PARQUET_SUFFIXES
from service.datasets.formats.source import map_in_threads
from service.datasets.formats.webdataset_source import TAR_SUFFIXES
from service.datasets.places.location import FoundFile, Location
from service.datasets.places.unread_files import counted_files, way_out
from service.errors import InvalidRequest
from workers.artifact_io import open_filesystem
from workers.data.dataset_roots import check_place
from workers.data.images.picture_signatures import is_picture
from workers.data.names import IMAGE_SUFFIXES
from workers.data.other_suffixes import OTHER_SUFFIXES
from workers.data.shards.arrow_shards import begins_like_arrow
from workers.specs.datasets import DatasetFormat

_SUFFIXES: Mapping[DatasetFormat, frozenset[str]] = {
    "parquet": PARQUET_SUFFIXES,
    "arrow": ARROW_SUFFIXES,
    "webdataset": TAR_SUFFIXES,
    "image_folder": IMAGE_SUFFIXES,
    "uri_list": LIST_SUFFIXES,
}
_HEAD_BYTES = 512
_SIGNS: Mapping[DatasetFormat, Callable[[bytes], bool]] = {
    "parquet": lambda head: head.startswith(b"PAR1"),
    "arrow": begins_like_arrow,
    "webdataset": lambda head: head[257:262] == b"ustar",
    "image_folder": is_picture,
}
_GUESSED_BY = 100
"""How many files with an unknown suffix to open to guess the format."""


@dataclass(frozen=True)
class ChosenFiles:
    """The dataset's files in sorted order, and the files that are left out."""

    format: DatasetFormat
    files: list[FoundFile]
    left_out: list[FoundFile]

    def warnings(self) -> list[str]:
        """Returns a warning about the files that are left out, by suffix, if there are any."""
        if not self.left_out:
            return []
        return [f"{len(self.left_out):,} file(s) are left out: {counted_files(self.left_out)}"]


def choose_files(location: Location, asked: DatasetFormat | None) -> ChosenFiles:
    """Chooses the files of the requested format, or of the format that it guesses.

    Raises InvalidRequest if the format is unclear or there is no file of it. The message says what is there and what
    can be done with it.
    """
    dataset_format = asked or _guessed(location)
    if location.is_file:
        return ChosenFiles(dataset_format, list(location.files), [])
    suffixes, sign = _SUFFIXES[dataset_format], _SIGNS.get(dataset_format)
    odd = [] if sign is None else [file for file in location.files if file.suffix not in suffixes and _is_odd(file)]
    heads = dict(zip((file.name for file in odd), _heads(location, odd), strict=True))
    chosen = [
        file
        for file in location.files
        if file.suffix in suffixes or (sign is not None and sign(heads.get(file.name, b"")))
    ]
    if not chosen:
        raise InvalidRequest("uri", f"{_nothing(location)} is of {dataset_format} ({_endings(suffixes)})")
    if dataset_format != "image_folder":
        chosen = _of_the_table(location, chosen)
    names = {file.name for file in chosen}
    return ChosenFiles(dataset_format, chosen, [file for file in location.files if file.name not in names])


def _of_the_table(location: Location, files: list[FoundFile]) -> list[FoundFile]:
    """Drops the files that an engine does not count as part of its table.

    These are files in folders that begin with an underscore, in which Spark and Hive stage their parts, and files that
    a Delta table has removed. Raises InvalidRequest if none are left.
    """
    kept = [file for file in files if not any(_is_staged(folder) for folder in file.name.split("/")[:-1])]
    kept = current_files(location, kept)
    current = delta_files(location)
    if current is not None:
        kept = [file for file in kept if file.name in current]
    if not kept:
        raise InvalidRequest("uri", f"{location.uri}: none of its {len(files)} file(s) belongs to a table")
    return kept


def _is_staged(folder: str) -> bool:
    return folder.startswith("_") and "=" not in folder


def _guessed(location: Location) -> DatasetFormat:
    if location.is_file:
        return _guessed_of_file(location)
    # A folder of images often contains tables and texts, too, so it counts as a list only if the request says so.
    by_suffix: list[tuple[DatasetFormat, frozenset[str]]] = [
        (name, suffixes) for name, suffixes in _SUFFIXES.items() if name != "uri_list"
    ]
    found: Counter[DatasetFormat] = Counter(
        name for file in location.files for name, suffixes in by_suffix if file.suffix in suffixes
    )
    if not found:
        heads = _heads(location, [file for file in location.files if _is_odd(file)][:_GUESSED_BY])
        found = Counter(name for head in heads for name, sign in _SIGNS.items() if sign(head))
    if not found:
        advice = way_out(location.files)
        raise InvalidRequest(
            "uri", f"{_nothing(location)} is read{advice or f'; what is read ends in {_all_endings()}'}"
        )
    if len(found) > 1:
        kinds = " and ".join(f"{count} file(s) of {name}" for name, count in found.items())
        raise InvalidRequest("format", f"{location.uri}: there are {kinds}; say which are meant")
    return next(iter(found))


def _guessed_of_file(location: Location) -> DatasetFormat:
    address = location.uri.partition("?")[0] if "://" in location.uri else location.uri
    file = FoundFile(address, location.files[0].size)
    for dataset_format in _SUFFIXES:
        if file.suffix in _SUFFIXES[dataset_format]:
            return dataset_format
    head = next(iter(_heads(location, location.files)), b"")
    if (known := next((name for name, sign in _SIGNS.items() if sign(head)), None)) is not None:
        return known
    advice = way_out([file])
    raise InvalidRequest("uri", f"{location.uri}: is not read{advice or f'; what is read ends in {_all_endings()}'}")


def _is_odd(file: FoundFile) -> bool:
    """Whether only the file's content can tell what it is."""
    return (
        file.size > 0
        and file.suffix not in OTHER_SUFFIXES
        and not any(file.suffix in each for each in _SUFFIXES.values())
    )


def _heads(location: Location, files: Sequence[FoundFile]) -> list[bytes]:
    """Returns the first bytes of each file, or b"" for a file that cannot be read."""

    def head(file: FoundFile) -> bytes:
        check_place(location.uri_of(file))
        try:
            filesystem, path = open_filesystem(location.uri_of(file))
            with filesystem.open_input_stream(path, compression=None) as stream:
                return bytes(stream.read(_HEAD_BYTES))
        except OSError:
            return b""

    return list(map_in_threads(head, files))


def _nothing(location: Location) -> str:
    there = f" ({counted_files(location.files)})" if location.files else ""
    return f"{location.uri}: none of its {len(location.files)} file(s){there}"


def _all_endings() -> str:
    return _endings(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)


def _endings(suffixes: Iterable[str]) -> str:
    return ", ".join(sorted({f".{suffix}" for suffix in suffixes}))
