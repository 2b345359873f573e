"""FiftyOne: FiftyOneImageClassificationDataset (`data`, labels.json) and FiftyOneDataset (`data`, samples.json).

The forms are those of docs.voxel51.com, "Exporting FiftyOne datasets". In labels.json, a label is the index of a class,
or its name if the file lists no classes; null for an image without a label; an object if confidences are exported, too.
In samples.json, each sample has a `filepath`, and fields of which those of the class Classification are labels.
"""

from typing import Any

from service.config.datasets import DatasetRequest
from service.datasets.exports.exported_images import Export, ExportedImage
from service.errors import InvalidRequest
from workers.data.plain_values import flaw_of, shown


def fiftyone_export(document: Any, request: DatasetRequest, uri: str) -> Export:
    """Returns the images of either file. Raises InvalidRequest, naming the entry."""
    if isinstance(document, dict) and isinstance(document.get("samples"), list):
        return _of_samples(document["samples"], request, uri)
    return _of_labels(document, uri)


def _of_samples(samples: list[Any], request: DatasetRequest, uri: str) -> Export:
    images = []
    fields: set[str] = set()
    for number, sample in enumerate(samples):
        origin = f"{uri} samples[{number}]"
        place = sample.get("filepath") if isinstance(sample, dict) else None
        if not isinstance(place, str) or not place.strip():
            raise InvalidRequest("uri", f"{origin}: has no filepath")
        found = {
            name: value.get("label")
            for name, value in sample.items()
            if isinstance(value, dict) and value.get("_cls") == "Classification"
            if request.label_column in (None, name)
        }
        fields |= set(found)
        images.append(ExportedImage(place, frozenset(each for each in found.values() if isinstance(each, str)), origin))
    if len(fields) > 1:
        listed = ", ".join(shown(name, 40) for name in sorted(fields)[:10])
        raise InvalidRequest("label_column", f"{uri}: several fields hold labels ({listed}): name one of them")
    if request.label_column is not None and not fields:
        raise InvalidRequest("label_column", f"{uri}: no field {shown(request.label_column)!r} holds labels")
    return Export("fiftyone", images)


def _of_labels(document: Any, uri: str) -> Export:
    labels = document.get("labels") if isinstance(document, dict) else None
    if not isinstance(labels, dict):
        raise InvalidRequest("uri", f"{uri}: is no export of FiftyOne: it has no object `labels`")
    classes = document.get("classes")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(each, str) for each in classes)):
        raise InvalidRequest("uri", f"{uri}: its `classes` are no list of texts")
    flawed = next((number for number, name in enumerate(classes or ()) if flaw_of(name) is not None), None)
    if flawed is not None:
        raise InvalidRequest("uri", f"{uri} classes[{flawed}]: cannot be the name of a class")
    if classes is not None and len(set(classes)) < len(classes):
        raise InvalidRequest("uri", f"{uri}: of its `classes` one comes twice")
    images = [
        ExportedImage(name, _labels(target, classes, f"{uri} labels, entry {number}"), f"{uri} labels, entry {number}")
        for number, (name, target) in enumerate(labels.items())
    ]
    return Export("fiftyone", images, tuple(classes) if classes else None, names_lack_suffixes=True)


def _labels(target: Any, classes: list[str] | None, origin: str) -> frozenset[str]:
    if isinstance(target, dict):
        target = target.get("label")
    if target is None:
        return frozenset()
    if isinstance(target, list):  # of a multi-label dataset
        return frozenset().union(*(_labels(each, classes, origin) for each in target))
    if isinstance(target, str):
        return frozenset({target})
    if isinstance(target, int) and not isinstance(target, bool) and classes is not None:
        if 0 <= target < len(classes):
            return frozenset({classes[target]})
        raise InvalidRequest("uri", f"{origin}: its label {target} is the index of no class: there are {len(classes)}")
    raise InvalidRequest("uri", f"{origin}: its label is neither the index nor the name of a class")
