"""Reads what Hugging Face's `datasets` writes beside its files: the names of classes, and which files are current."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from service.datasets.places.location import FoundFile, Location
from service.errors import InvalidRequest
from workers.artifact_io import open_filesystem
from workers.data.dataset_roots import OutsideOfRoots, check_place
from workers.data.shards.whole_files import check_regular
from workers.plain_uri import below, folder_of

_MOST_BYTES = 16 << 20
_MOST_CARD_CHARACTERS = 1 << 20
_INFO, _INFOS, _CARD, _STATE = "dataset_info.json", "dataset_infos.json", "README.md", "state.json"


def names_beside(locations: Sequence[Location]) -> Callable[[str], tuple[str, ...]]:
    """Returns a function that finds the class names of a column in the files beside a dataset, in this order:
    dataset_info.json, dataset_infos.json, and the YAML at the head of README.md. It looks in each of `locations`, and
    then in the folder around the last. What cannot be read counts as absent."""

    def names_of(column: str) -> tuple[str, ...]:
        for folder in _folders(locations):
            for features in _features_in(folder):
                if names := _class_names(features, column):
                    return names
        return ()

    return names_of


def current_files(location: Location, files: Sequence[FoundFile]) -> list[FoundFile]:
    """Drops the files beside a state.json that it does not list: caches, and parts of what was saved there before.

    Raises InvalidRequest for a dataset whose rows are chosen by a file of indices.
    """
    listed: set[str] = set()
    folders: set[str] = set()
    for file in location.files:
        folder, _, base = file.name.rpartition("/")
        if base != _STATE or not isinstance(state := _json_at(location.uri_of(file)), dict):
            continue
        if state.get("_indices_files") or state.get("_indices_data_files"):
            problem = "its rows are chosen by a file of indices: call flatten_indices() and save it again"
            raise InvalidRequest("uri", f"{location.uri_of(file)}: {problem}")
        names = [each.get("filename") for each in state.get("_data_files") or () if isinstance(each, dict)]
        if names:
            folders.add(folder)
            listed |= {f"{folder}/{name}".lstrip("/") for name in names}
    return [file for file in files if file.name.rpartition("/")[0] not in folders or file.name in listed]


def is_saved(location: Location) -> bool:
    """Whether `save_to_disk` wrote something at the location."""
    return any(file.name.rpartition("/")[2] == _STATE for file in location.files)


def _folders(locations: Sequence[Location]) -> list[str]:
    found = [folder_of(location.uri) if location.is_file else location.uri for location in locations]
    return list(dict.fromkeys([*found, folder_of(found[-1])]))


def _features_in(folder: str) -> list[Any]:
    info = _json_at(below(folder, _INFO))
    infos = _json_at(below(folder, _INFOS))
    card = _card_at(below(folder, _CARD))
    told = card.get("dataset_info") if isinstance(card, dict) else None
    return [
        each["features"]
        for each in (info, *_values(infos), *(told if isinstance(told, list) else [told]))
        if isinstance(each, dict) and "features" in each
    ]


def _values(infos: object) -> list[object]:
    return list(infos.values()) if isinstance(infos, dict) else []


def _class_names(features: object, column: str) -> tuple[str, ...]:
    """The names of a ClassLabel: {"label": {"names": [...]}} in JSON, a list of named features in a card."""
    if isinstance(features, list):
        named = [each for each in features if isinstance(each, dict) and each.get("name") == column]
        kind = named[0].get("dtype") if named else None
        feature = kind.get("class_label") if isinstance(kind, dict) else None
    else:
        feature = features.get(column) if isinstance(features, Mapping) else None
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, dict):  # by number
        names = [names.get(str(number), names.get(number)) for number in range(len(names))]
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if known and names else ()


def _json_at(uri: str) -> object:
    try:
        return json.loads(_bytes_at(uri))
    except (ValueError, RecursionError):
        return None


def _card_at(uri: str) -> object:
    parts = _bytes_at(uri).decode("utf-8", "replace").replace("\r\n", "\n").split("---\n", 2)
    if len(parts) < 3 or parts[0].strip() or len(parts[1]) > _MOST_CARD_CHARACTERS:
        return None
    try:
        return yaml.safe_load(parts[1])
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


def _bytes_at(uri: str) -> bytes:
    """The content of a small file; b"" if there is none that may be read."""
    try:
        check_place(uri)
        filesystem, path = open_filesystem(uri)
        check_regular(uri, filesystem, path)
        with filesystem.open_input_file(path) as source:
            return bytes(source.read()) if source.size() <= _MOST_BYTES else b""
    except (OSError, OutsideOfRoots):
        return b""
