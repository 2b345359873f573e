"""Splits stage results by size: figures, parts that grow with the number of classes, and parts that grow with its
square. No I/O."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workers.specs.results import Confusion

_BY_CLASS = ("per_class", "classes")
_TENSORS = ("taken", "left", "new")
"""The names of a model's tensors in the report of its initial weights."""


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the result for a listing of stages, without the parts that grow with classes or with tensors."""
    left = _without(result, ("confusion", *_BY_CLASS))
    if left.get("initial_weights"):
        left["initial_weights"] = _less(left["initial_weights"], _TENSORS)
    return left


def without_confusion(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the result for a single stage, without confusion matrices: a thousand classes have a million pairs."""
    return _without(result, ("confusion",))


def confusion_matrices(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the metrics that have a confusion matrix, with their name.

    The names are test, validation, pseudo_labels and external.NAME.
    """
    if "metrics" in result:
        yield "test", result["metrics"]
    if result.get("validation"):
        yield "validation", result["validation"]["metrics"]
    if result.get("pseudo_labels"):
        yield "pseudo_labels", result["pseudo_labels"]
    for name, metrics in result.get("external", {}).items():
        yield f"external.{name}", metrics


def read_confusion(metrics: Mapping[str, Any]) -> Confusion:
    """Returns the confusion of such metrics, which earlier versions stored as a whole matrix."""
    return Confusion.model_validate_json(json.dumps(metrics["confusion"]))


def _without(result: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Returns the result without the parts of these names, both in the result itself and in its metrics."""
    left = _less(result, names)
    for part in ("metrics", "pseudo_labels"):
        if left.get(part):
            left[part] = _less(left[part], names)
    if left.get("validation"):
        left["validation"] = {**left["validation"], "metrics": _less(left["validation"]["metrics"], names)}
    if "external" in left:
        left["external"] = {name: _less(metrics, names) for name, metrics in left["external"].items()}
    return left


def _less(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
