"""Looks at a place and says what it takes it for, with the requests that would register it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from service.config.datasets import DatasetRequest, LookRequest, RequestedFormat
from service.config.names import MAX_NAME_LENGTH
from service.datasets.inspection.chosen_files import choose_files
from service.datasets.inspection.classes import class_order
from service.datasets.looks.findings import findings_in
from service.datasets.looks.lists import Findings
from service.datasets.looks.parts import Part, parts_of
from service.datasets.looks.readings import Reading, readings_of
from service.datasets.places.location import Location, locate
from service.datasets.places.unread_files import counted_files
from service.errors import InvalidRequest
from service.views.looks import DatasetLook, LookedAtColumn, LookedAtPart
from workers.artifact_io import name_of
from workers.data.dataset_roots import ANYWHERE, DatasetRoots, OutsideOfRoots
from workers.data.errors import ShardReadError
from workers.data.plain_values import shown
from workers.specs.datasets import DatasetRole

MOST_FILES = 100_000
"""How many files a look lists, because a person waits for it."""
_MOST_CLASSES = 1000
_MOST_WARNINGS = 50


@dataclass(frozen=True)
class _LookedAt:
    part: Part
    findings: Findings
    role: DatasetRole


def look_at(request: LookRequest, roots: DatasetRoots = ANYWHERE) -> DatasetLook:
    """Looks at a place. Raises InvalidRequest if there is nothing, or it lies outside of `roots`."""
    try:
        location = locate(request.uri, roots, MOST_FILES)
    except OutsideOfRoots as error:
        raise InvalidRequest("uri", str(error)) from error
    if not location.files:
        raise InvalidRequest("uri", f"{location.uri}: there is no file in it")
    problems: list[str] = []
    for reading in readings_of(location, roots):
        try:
            found = _look(request, location, reading, roots)
        except (InvalidRequest, ShardReadError) as error:
            problems.append(str(error))
            continue
        if found.classes or not reading.needs_labels:
            return found
    return _unknown(location, problems)


def _look(request: LookRequest, location: Location, reading: Reading, roots: DatasetRoots) -> DatasetLook:
    # The card of a Hugging Face dataset lies beside its folder of tables, so these keep the whole place.
    passes_through = reading.format not in ("parquet", "arrow")
    parts = reading.parts or parts_of(location, reading.files, passes_through)
    every = [_look_at_part(request, location, reading, part, roots) for part in parts]
    looked_at = [each for each in every if each.findings.images != 0]
    if not looked_at:
        raise InvalidRequest(
            "uri", f"{location.uri}: of its {len(reading.files)} file(s) of {reading.format} none holds an image"
        )
    empty = [each.part for each in every if each not in looked_at]
    labeled = [each for each in looked_at if each.role != "unlabeled"]
    classes = _all_classes([each.findings for each in labeled])
    if len(classes) == 1:
        looked_at, labeled, classes = [_without_labels(each) for each in looked_at], [], ()
    differ = any(each.findings.classes != classes for each in labeled)
    first = looked_at[0].findings
    return DatasetLook(
        uri=location.uri,
        taken_for=_in_words(reading, looked_at, bool(classes)),
        format=reading.format,
        files=len(location.files),
        files_are_all=location.is_complete,
        parts=[
            LookedAtPart(
                split=each.part.name,
                images=each.findings.images,
                images_are_all=each.findings.images_are_all,
                classes=len(each.findings.classes),
            )
            for each in looked_at
        ],
        classes=[shown(name) for name in classes[:_MOST_CLASSES]],
        class_count=len(classes),
        classes_from=labeled[0].findings.classes_from if labeled else None,
        columns=[LookedAtColumn(name=name, type=kind) for name, kind in first.columns],
        requests=[_request(request, location, reading, each, classes if differ else None) for each in looked_at],
        warnings=list(_warnings(location, reading, looked_at, empty, classes))[:_MOST_WARNINGS],
    )


def _look_at_part(
    request: LookRequest, location: Location, reading: Reading, part: Part, roots: DatasetRoots
) -> _LookedAt:
    asked = DatasetRequest(
        name="look", project=request.project, role="unlabeled", uri=part.location.uri, format=reading.format
    )
    findings = findings_in(asked, part.location, location, roots)
    if not findings.classes or part.kind == "unlabeled":
        return _LookedAt(part, findings, "unlabeled")
    return _LookedAt(part, findings, "evaluation" if part.kind in ("validation", "test") else "labeled")


def _without_labels(looked_at: _LookedAt) -> _LookedAt:
    said = "there is one class only, so the labels are of no use"
    findings = replace(looked_at.findings, classes=(), warnings=(*looked_at.findings.warnings, said))
    return replace(looked_at, findings=findings, role="unlabeled")


def _all_classes(findings: Sequence[Findings]) -> tuple[str, ...]:
    """The classes of all parts. They keep their order if all parts agree on it."""
    if len({each.classes for each in findings}) == 1:
        return findings[0].classes
    return class_order({name for each in findings for name in each.classes})


def _request(
    request: LookRequest, location: Location, reading: Reading, looked_at: _LookedAt, classes: Sequence[str] | None
) -> DatasetRequest:
    """The body that registers a part. It names the classes if the parts do not hold the same ones."""
    part = looked_at.part
    name = " ".join(filter(None, (shown(name_of(location.uri), 80), part.name and shown(part.name, 30))))
    is_labeled = looked_at.role != "unlabeled"
    # A list's folder may hold other texts, which a request of the folder would read, too.
    is_one_list = reading.format == "uri_list" and len(part.location.files) == 1
    fields: dict[str, object] = dict(looked_at.findings.fields)
    if not is_labeled:
        fields.pop("label_column", None)
    return DatasetRequest.model_validate(
        {
            "name": (name.strip() or "dataset")[:MAX_NAME_LENGTH],
            "project": request.project,
            "role": looked_at.role,
            "uri": part.location.uri_of(part.location.files[0]) if is_one_list else part.location.uri,
            "format": reading.format,
            "split": None if is_one_list else part.split,
            "classes": tuple(classes) if classes and is_labeled else None,
            **fields,
        }
    )


_WORDS: Mapping[RequestedFormat, str] = {
    "parquet": "Parquet files with images",
    "arrow": "Arrow files with images",
    "image_folder": "a folder of images",
    "webdataset": "tar files with images (WebDataset)",
    "uri_list": "a list of images",
    "label_studio": "an export of Label Studio",
    "fiftyone": "an export of FiftyOne",
    "coco": "a COCO file of images and categories",
}


def _in_words(reading: Reading, looked_at: Sequence[_LookedAt], has_classes: bool) -> str:
    words = reading.words or _WORDS[reading.format]
    if reading.format == "image_folder" and has_classes:
        words = "a folder of images with a folder for each class"
    elif not has_classes:
        words += ", without labels"
    splits = [shown(each.part.name, 40) for each in looked_at if each.part.name is not None]
    return f"{words}, in {len(splits)} split(s): {', '.join(splits[:10])}" if splits else words


def _warnings(
    location: Location,
    reading: Reading,
    looked_at: Sequence[_LookedAt],
    empty: Sequence[Part],
    classes: Sequence[str],
) -> Iterator[str]:
    yield from location.warnings
    if not location.is_complete:
        yield f"there are more than {MOST_FILES:,} files: only the first were looked at"
    names = {file.name for file in reading.files}
    if left_out := [file for file in location.files if file.name not in names]:
        yield f"{len(left_out):,} file(s) are of no use here: {counted_files(left_out)}"
    yield from (f"{shown(part.name or '', 60)}: holds no image, and is left out" for part in empty)
    for each in looked_at:
        of = f"{shown(each.part.name, 60)}: " if each.part.name is not None else ""
        yield from (f"{of}{warning}" for warning in each.findings.warnings)
        if each.part.kind in ("validation", "test") and each.role == "unlabeled":
            yield f"{of}has no labels, so no model can be evaluated on it"
        lacking = [name for name in classes if name not in set(each.findings.classes)]
        if each.role != "unlabeled" and lacking:
            listed = ", ".join(shown(name, 40) for name in lacking[:5])
            yield f"{of}{len(lacking)} class(es) of the other splits were not seen here: {listed}"


def _unknown(location: Location, problems: Sequence[str]) -> DatasetLook:
    """The answer about a place of which nothing can be read. Registration's own refusal says what is read."""
    try:
        choose_files(location, None)
    except InvalidRequest as error:
        problems = [*problems, error.message]
    return DatasetLook(
        uri=location.uri,
        taken_for="nothing that is read",
        format=None,
        files=len(location.files),
        files_are_all=location.is_complete,
        parts=[],
        classes=[],
        class_count=0,
        classes_from=None,
        columns=[],
        requests=[],
        warnings=list(dict.fromkeys([*problems, *location.warnings]))[:_MOST_WARNINGS],
    )
