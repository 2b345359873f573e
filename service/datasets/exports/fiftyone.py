"""FiftyOne's FiftyOneImageClassificationDataset: a folder `data` and a file labels.json with classes and labels.

The form is that of docs.voxel51.com, "Exporting FiftyOne datasets": a label is the index of a class, or its name if
the file lists no classes; null for an image without a label; an object if confidences are exported, too.
"""

from typing import Any

from service.datasets.exports.exported_images import Export, ExportedImage
from service.errors import InvalidRequest


def fiftyone_export(document: Any, uri: str) -> Export:
    """Returns the images, whose places are names without a suffix. Raises InvalidRequest, naming the entry."""
    labels = document.get("labels") if isinstance(document, dict) else None
    if not isinstance(labels, dict):
        raise InvalidRequest("uri", f"{uri}: is no export of FiftyOne: it has no object `labels`")
    classes = document.get("classes")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(each, str) for each in classes)):
        raise InvalidRequest("uri", f"{uri}: its `classes` are no list of texts")
    if classes is not None and len(set(classes)) < len(classes):
        raise InvalidRequest("uri", f"{uri}: of its `classes` one comes twice")
    images = [
        ExportedImage(name, _labels(target, classes, f"{uri} labels, entry {number}"), f"{uri} labels, entry {number}")
        for number, (name, target) in enumerate(labels.items())
    ]
    return Export("fiftyone", images, tuple(classes) if classes else None)


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
