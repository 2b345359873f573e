"""Finds the weights of a model that is to be registered: a folder of timm's or one file, and what lies beside it."""

import dataclasses
from collections import Counter
from dataclasses import dataclass

import timm
import torch
from pyarrow import fs

from workers.artifact_io import join_uri, open_filesystem, read_bytes_if_there
from workers.data.dataset_roots import DatasetRoots, OutsideOfRoots, plain_dataset_uri
from workers.initialization.refusals import refusal
from workers.initialization.sources import Source, architecture_beside, source_of_file
from workers.specs.registration import MOST_CLASSES, RegistrationSettings

_FILES_OF_TIMM = ("model.safetensors", "pytorch_model.bin")
_CLASSES_FILE = "classes.txt"
_MOST_BYTES_OF_CLASSES = 16 << 20
_MOST_COPIES = 16
"""How many times a checkpoint may hold as much as the weights: their average, and an optimizer's state."""
_BYTES_OF_A_FLOAT = 4
_MOST_BYTES_BESIDE = 1 << 30
"""For a classifier of very many classes, and whatever else a checkpoint holds."""


@dataclass(frozen=True)
class FoundWeights:
    """Weights, the timm model that they are for, and the names of its classes."""

    source: Source
    model: str
    classes: tuple[str, ...]
    classes_said_by: str


def find_weights(settings: RegistrationSettings, file_roots: tuple[str, ...] | None) -> FoundWeights:
    """Reads the weights. Raises StageError(USER_ERROR), and OSError of a store that fails."""
    roots = DatasetRoots(file_roots)
    try:
        given = plain_dataset_uri(settings.uri)
        roots.check(given)
    except OutsideOfRoots as error:
        raise refusal(f"settings.uri: {error}") from error
    uri = _file_in(given)
    model = settings.model or architecture_beside(uri, roots)
    if model is None:
        raise refusal(f"settings.model: no config.json of timm beside {uri} says which timm model it is: name it")
    source = source_of_file(uri, model, roots, _most_bytes(model))
    classes, said_by = _classes(settings, source, uri, roots)
    repeated = [name for name, times in Counter(classes).items() if times > 1]
    if repeated or not 2 <= len(classes) <= MOST_CLASSES:
        why = f"{repeated[0]!r} twice" if repeated else f"{len(classes)} classes"
        raise refusal(f"settings.classes: {said_by} names {why}: name 2 to {MOST_CLASSES:,} classes, each once")
    # Whoever names the classes knows better than the file beside the weights what its outputs mean.
    return FoundWeights(dataclasses.replace(source, classes=classes), model, classes, said_by)


def _most_bytes(model: str) -> int:
    """The most bytes of a file with the model's weights, so that no other file fills the disk or the memory."""
    try:
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in timm.create_model(model).parameters())
    except Exception as error:
        raise refusal(f"settings.model: timm cannot build {model}: {error}") from error
    return _MOST_COPIES * parameters * _BYTES_OF_A_FLOAT + _MOST_BYTES_BESIDE


def _classes(
    settings: RegistrationSettings, source: Source, uri: str, roots: DatasetRoots
) -> tuple[tuple[str, ...], str]:
    """The names of the classes, and what says them."""
    if settings.classes is not None:
        return settings.classes, "the request"
    if source.classes is not None:
        return source.classes, "the file beside the weights"
    listed = _listed_classes(uri, roots)
    if listed is None:
        raise refusal(
            "settings.classes: neither a config.json with label_names nor a classes.txt beside "
            f"{uri} names the classes: name one for each output of the model, in their order"
        )
    return listed, _CLASSES_FILE


def _file_in(uri: str) -> str:
    """The file of weights in a folder as timm writes it, or the file itself."""
    filesystem, path = open_filesystem(uri)
    if filesystem.get_file_info(path).type != fs.FileType.Directory:
        return uri
    for name in _FILES_OF_TIMM:
        inside = join_uri(uri, name)
        filesystem, path = open_filesystem(inside)
        if filesystem.get_file_info(path).type == fs.FileType.File:
            return inside
    raise refusal(f"settings.uri: the folder {uri} has neither {' nor '.join(_FILES_OF_TIMM)}: name the file")


def _listed_classes(uri: str, roots: DatasetRoots) -> tuple[str, ...] | None:
    listed = join_uri(uri.rpartition("/")[0], _CLASSES_FILE)
    try:
        roots.check(listed)
    except OutsideOfRoots:
        return None
    data = read_bytes_if_there(listed)
    if data is None:
        return None
    try:
        names = tuple(line.strip() for line in data[:_MOST_BYTES_OF_CLASSES].decode("utf-8-sig").splitlines())
    except UnicodeDecodeError as error:
        raise refusal(f"settings.classes: {listed} is not UTF-8: {error}") from error
    return tuple(name for name in names if name)
