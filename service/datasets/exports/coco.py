"""COCO: a JSON file of images, annotations and categories, whose ids may have gaps. Boxes and masks do not count.

The form is that of cocodataset.org, "Data format".
"""

from collections import defaultdict
from typing import Any

from service.datasets.exports.exported_images import Export, ExportedImage
from service.errors import InvalidRequest
from workers.data.plain_values import flaw_of


def coco_export(document: Any, uri: str) -> Export:
    """Returns the images with the names of their annotations' categories. Classes are in the order of the ids.

    Raises InvalidRequest, naming the entry, for one that is not as COCO says.
    """
    parts = {name: _list(document, name, uri) for name in ("categories", "images", "annotations")}
    names = _categories(parts["categories"], uri)
    labels: dict[object, set[str]] = defaultdict(set)
    for number, annotation in enumerate(parts["annotations"]):
        category = annotation.get("category_id")
        if not isinstance(category, int) or category not in names:
            raise InvalidRequest("uri", f"{uri} annotations[{number}]: its category_id is the id of no category")
        labels[_id(annotation, "image_id", f"{uri} annotations[{number}]")].add(names[category])
    images, seen = [], set()
    for number, image in enumerate(parts["images"]):
        origin = f"{uri} images[{number}]"
        place, identity = image.get("file_name"), _id(image, "id", origin)
        if not isinstance(place, str) or not place.strip():
            raise InvalidRequest("uri", f"{origin}: has no file_name")
        if identity in seen:
            raise InvalidRequest("uri", f"{origin}: another image has its id")
        seen.add(identity)
        images.append(ExportedImage(place, frozenset(labels[identity]), origin))
    strays = sum(image not in seen for image in labels)
    warnings = (f"{strays:,} image_id(s) of annotations are those of no image",) if strays else ()
    return Export("coco", images, tuple(names[number] for number in sorted(names)), warnings)


def _categories(categories: list[dict[str, Any]], uri: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for number, category in enumerate(categories):
        origin = f"{uri} categories[{number}]"
        identity, name = category.get("id"), category.get("name")
        if not isinstance(identity, int) or isinstance(identity, bool) or identity in names:
            raise InvalidRequest("uri", f"{origin}: its id is no number, or another category has it")
        if not isinstance(name, str) or (flaw := flaw_of(name)) is not None:
            problem = "no text" if not isinstance(name, str) else f"with {flaw}"
            raise InvalidRequest("uri", f"{origin}: its name is {problem}, and cannot be the name of a class")
        if name in names.values():
            raise InvalidRequest("uri", f"{origin}: another category has its name")
        names[identity] = name
    return names


def _list(document: Any, name: str, uri: str) -> list[dict[str, Any]]:
    found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InvalidRequest("uri", f"{uri}: is no COCO file: `{name}` is no list of objects")
    return found


def _id(entry: dict[str, Any], name: str, origin: str) -> int | str:
    value = entry.get(name)
    if not isinstance(value, int | str):
        raise InvalidRequest("uri", f"{origin}: its {name} is neither a number nor a text")
    return value
