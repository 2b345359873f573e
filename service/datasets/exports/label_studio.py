"""Label Studio: exports of image classification as JSON, JSON-MIN and CSV.

The forms are those of labelstud.io, "Export annotations": a task has `data` with the image, and `annotations` whose
results of type `choices` hold the labels; a row of JSON-MIN and CSV has both side by side.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.config.datasets import DatasetRequest
from service.datasets.exports.exported_images import Export, ExportedImage
from service.datasets.formats.list_columns import URI_NAMES
from service.errors import InvalidRequest
from workers.data.names import LABEL_NAMES, first_known
from workers.data.plain_values import shown
from workers.data.shards.list_entries import looks_like_an_entry

_BESIDE_LABELS = frozenset(
    {*("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "task_id", "comment")}
)
_CHOICES = ("choice", "choices", *LABEL_NAMES)


def label_studio_tasks(tasks: Sequence[Any], request: DatasetRequest, uri: str) -> Export:
    """Returns the images of a JSON export. Annotations that were skipped do not count; of the others, those marked as
    ground truth count alone, if there are any. Raises InvalidRequest, naming the task."""
    images = []
    controls: set[str] = set()
    for number, task in enumerate(tasks):
        origin = f"{uri} task {number}"
        data = task.get("data") if isinstance(task, dict) else None
        if not isinstance(data, dict):
            raise InvalidRequest("uri", f"{origin}: has no object `data`")
        labels = set()
        for control, chosen in _choices_of(task):
            if request.label_column in (None, control):
                controls.add(control)
                labels |= set(chosen)
        images.append(ExportedImage(_image(data, request, origin), frozenset(labels), origin))
    if len(controls) > 1:
        listed = ", ".join(shown(name, 40) for name in sorted(controls)[:10])
        raise InvalidRequest("label_column", f"{uri}: several questions have choices ({listed}): name one of them")
    if request.label_column is not None and not controls:
        raise InvalidRequest("label_column", f"{uri}: no choices are called {shown(request.label_column)!r}")
    return Export("label_studio", images)


def label_studio_rows(rows: Iterable[tuple[str, Mapping[str, Any]]], request: DatasetRequest, uri: str) -> Export:
    """Returns the images of a JSON-MIN or CSV export, whose rows come with their names for messages."""
    images = []
    label_column: str | None = None
    for origin, row in rows:
        image_column = request.image_column or _image_column(row, origin)
        label_column = label_column or _label_column(row, image_column, request, uri)
        place = row.get(image_column)
        if not isinstance(place, str) or not place.strip():
            raise InvalidRequest("image_column", f"{origin}: there is no image in its column")
        images.append(ExportedImage(place, frozenset(_chosen(row.get(label_column), origin)), origin))
    return Export("label_studio", images)


def _choices_of(task: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    annotations = [
        each for each in _objects(task.get("annotations", task.get("completions"))) if not each.get("was_cancelled")
    ]
    trusted = [each for each in annotations if each.get("ground_truth")]
    results = [result for each in trusted or annotations for result in _objects(each.get("result"))]
    choices = []
    for result in results:
        value = result.get("value")
        chosen = value.get("choices") if result.get("type") == "choices" and isinstance(value, dict) else None
        if isinstance(chosen, list):
            choices.append((str(result.get("from_name")), [each for each in chosen if isinstance(each, str)]))
    return choices


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _image(data: Mapping[str, Any], request: DatasetRequest, origin: str) -> str:
    column = request.image_column or _image_column(data, origin)
    place = data.get(column)
    if not isinstance(place, str) or not place.strip():
        raise InvalidRequest("image_column", f"{origin}: its image is no text, or empty")
    return place


def _image_column(fields: Mapping[str, Any], origin: str) -> str:
    places = [name for name, value in fields.items() if isinstance(value, str) and looks_like_an_entry(value)]
    known = first_known(URI_NAMES, [*fields])
    if known is not None:
        return known
    if len(places) == 1:
        return places[0]
    raise InvalidRequest("image_column", f"{origin}: no field is known to hold the image: name it")


def _label_column(row: Mapping[str, Any], image_column: str, request: DatasetRequest, uri: str) -> str:
    others = [name for name in row if name not in _BESIDE_LABELS and name != image_column]
    if request.label_column is not None:
        return request.label_column
    if len(others) == 1:
        return others[0]
    if (known := first_known(_CHOICES, others)) is not None:
        return known
    raise InvalidRequest("label_column", f"{uri}: {len(others)} columns may hold the labels: name the one that does")


def _chosen(value: Any, origin: str) -> list[str]:
    """The labels in a cell: a text, or several choices as {"choices": [...]}, which a CSV holds as a text of JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest("label_column", f"{origin}: its label begins like JSON and is none") from error
    if isinstance(value, dict):
        value = value.get("choices")
    if value is None or isinstance(value, str):
        return [value.strip()] if value and value.strip() else []
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise InvalidRequest("label_column", f"{origin}: its label is no text")
