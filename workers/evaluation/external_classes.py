"""Maps the classes of an external set to the model's classes."""

from collections.abc import Sequence

from workers.runtime.stage_reporter import StageError
from workers.specs.evaluation import ExternalSet
from workers.specs.reports import FailureReason


def class_indices(external: ExternalSet, classes: Sequence[str], model_classes: Sequence[str]) -> list[int]:
    """The model's index of each of the set's classes. Raises StageError(USER_ERROR) for a class that it lacks."""
    names = [name if external.class_map is None else external.class_map.get(name, name) for name in classes]
    unknown = [f"{name!r}" for name in names if name not in model_classes]
    if unknown:
        message = f"the model does not know the class(es) {', '.join(unknown[:5])} of the external set {external.name}"
        raise StageError(FailureReason.USER_ERROR, message)
    return [list(model_classes).index(name) for name in names]
