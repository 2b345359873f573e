"""Registers the folders of a run, and splits off validation and test images where none are given."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from noisy_student.cli.options import absolute_path
from noisy_student.client import Client
from noisy_student.errors import ApiError
from service.config.datasets import DatasetRequest
from service.views.datasets import DatasetView
from service.views.looks import DatasetLook

SHARE = 0.1
"""The share of each class that is taken for validation, and for the test."""
_VALIDATION = re.compile(r"val|dev", re.IGNORECASE)
Say = Callable[[str], None]
Body = dict[str, Any]


@dataclass(frozen=True)
class Folders:
    """Where the images of a run are: paths on this machine, or URIs. `seed` decides what is split off."""

    labeled: str
    unlabeled: str | None = None
    validation: str | None = None
    test: str | None = None
    project: str | None = None
    seed: int = 0


def place_of(written: str) -> str:
    """A path as the service takes it, or a URI as it is."""
    return written if "://" in written else absolute_path(written)


def register_folders(client: Client, folders: Folders, needs_unlabeled: bool, say: Say) -> dict[str, DatasetView]:
    """Registers the datasets of a run, by their part in it, and says what they are.

    A place that was registered before with the same content is not registered again. The labeled folder may have
    splits: those for validation and test, and without labels, are used unless the folders name others. Raises ApiError.
    """
    look = _look(client, folders, folders.labeled)
    say(f"{look.uri}: {look.taken_for}")
    requests = {part: found for part, found in _parts_of(look).items() if found is not None}
    for part in ("unlabeled", "validation", "test"):
        place = getattr(folders, part)
        if place is not None:
            requests[part] = _request_of(_look(client, folders, place), part)
    if needs_unlabeled and "unlabeled" not in requests:
        raise ApiError(f"there are no unlabeled images in {look.uri}: name them with --unlabeled, or --generations 0")

    shares = {f"{part}_share": 0.0 if part in requests else SHARE for part in ("validation", "test")}
    split_off = [part for part in ("validation", "test") if part not in requests]
    splitting = {**shares, "seed": folders.seed}
    common: Body = {"reuse": True, **({"project": folders.project} if folders.project else {})}
    found: dict[str, DatasetView] = {}
    told: set[str] = set()

    def register(part: str, request: Body) -> None:
        name = f"{_last_part(str(request['uri']))}, {part}"[:120]
        found[part] = client.datasets.create({**request, **common, "name": name})
        for warning in found[part].warnings:
            if warning not in told:  # the parts of one folder share most of them
                told.add(warning)
                say(f"  {part}: {warning}")

    labeled = requests["labeled"]
    register("labeled", {**labeled, "part": {"name": "train", **splitting}} if split_off else labeled)
    for part in split_off:
        register(part, {**labeled, "role": "evaluation", "part": {"name": part, **splitting}})
    for part in ("validation", "test"):
        if part not in found:
            register(part, {**requests[part], "classes": found["labeled"].classes})
    if needs_unlabeled:
        # Also where the labeled images lie in the same folder: no model may learn from what it is tested on.
        register("unlabeled", {**requests["unlabeled"], "without": [each.id for each in found.values()]})
    for line in _sizes(found):
        say(line)
    if split_off:
        say(_split_in_words(found, split_off, folders.seed))
    return found


def _look(client: Client, folders: Folders, place: str) -> DatasetLook:
    project = {"project": folders.project} if folders.project else {}
    look = client.datasets.look({"uri": place_of(place), **project})
    if not look.requests:
        raise ApiError("\n".join([f"{look.uri}: {look.taken_for}", *look.warnings]))
    return look


def _parts_of(look: DatasetLook) -> Mapping[str, Body | None]:
    """What to register of the labeled folder, by part; None for a part that it does not have."""
    labeled = [request for request in look.requests if request.role == "labeled"]
    judged = [request for request in look.requests if request.role == "evaluation"]
    if not labeled:
        raise ApiError(
            f"{look.uri} is {look.taken_for}: no labels were found. A folder for each class, a list with labels, "
            "Parquet, Arrow or tar files with labels, and exports of Label Studio, FiftyOne and COCO are read; "
            "noisy-student datasets look shows what was seen"
        )
    validation = [request for request in judged if _VALIDATION.search(_split(look, request))]
    test = [request for request in judged if request not in validation]
    unlabeled = [request for request in look.requests if request.role == "unlabeled"]
    return {
        "labeled": _body(labeled[0], "labeled"),
        "validation": _body(validation[0], "evaluation") if validation else None,
        "test": _body(test[0], "evaluation") if test else None,
        "unlabeled": _body(unlabeled[0], "unlabeled") if unlabeled else None,
    }


def _split(look: DatasetLook, request: DatasetRequest) -> str:
    return look.parts[look.requests.index(request)].split or ""


def _request_of(look: DatasetLook, part: str) -> Body:
    """What to register of a folder that is one part of the run."""
    if part == "unlabeled":
        # All of it, whatever its splits and labels are.
        only = look.requests[0] if len(look.requests) == 1 else None
        whole = {"uri": look.uri, "format": look.format, "image_column": look.requests[0].image_column}
        return {**(whole if only is None else _body(only, part)), "role": part}
    labeled = [request for request in look.requests if request.role != "unlabeled"]
    if not labeled:
        raise ApiError(f"{look.uri} is {look.taken_for}: images for {part} need labels")
    named = [
        request for request in labeled if (part == "validation") == bool(_VALIDATION.search(_split(look, request)))
    ]
    return _body((named or labeled)[0], "evaluation")


def _body(request: DatasetRequest, role: str) -> Body:
    left_out = {"name", "project", "role", *(("label_column", "classes") if role == "unlabeled" else ())}
    return {**request.model_dump(mode="json", exclude=left_out, exclude_defaults=True), "role": role}


def _last_part(place: str) -> str:
    return (place.partition("?")[0] if "://" in place else place).rstrip("/").rpartition("/")[2] or "images"


def _sizes(found: Mapping[str, DatasetView]) -> list[str]:
    classes = len(found["labeled"].classes)
    return [
        f"{part:<10} {dataset.rows:>9,} images" + (f" of {classes} classes" if part == "labeled" else "")
        for part, dataset in found.items()
    ]


def _split_in_words(found: Mapping[str, DatasetView], split_off: Sequence[str], seed: int) -> str:
    taken = " and ".join(f"{found[part].rows:,} images for {part}" for part in split_off)
    return (
        f"took {100 * SHARE:.0f} % of each class, at least one image: {taken}, seed {seed}; equal images stay "
        "together, and nothing is moved or copied"
    )
