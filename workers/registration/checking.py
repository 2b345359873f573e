"""Has a model label a few images of a registered dataset, and says what looks wrong."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from workers.data.order.sampled_rows import sampled_rows
from workers.data.shards.shard_readers import ShardImages, read_rows
from workers.models.predictor import Predictor
from workers.runtime.bad_data import require_manifest
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest
from workers.specs.registration import ModelCheck
from workers.specs.reports import FailureReason
from workers.specs.stages import VerifySpec

_FEW_IMAGES = 8
"""Of fewer images, it says little that they are all given the same class."""


def checked(folder: str, spec: VerifySpec) -> ModelCheck:
    """Labels the images that `spec` asks for with the model in `folder`.

    Raises StageError: USER_ERROR if the model answers with NaN, BAD_DATA if too many images are broken.
    """
    manifest = require_manifest(spec.manifest_uri)
    predictor = Predictor(folder)
    places = _places_of_classes(manifest.classes, predictor.card.classes)
    answers, truths, bad, reason = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)], 0, ""
    for shard in _sampled_shards(manifest, spec.settings.images):
        predicted = predictor.predict(shard.images)
        readable = np.setdiff1d(np.arange(len(shard.images)), list(predicted.broken))
        answers.append(predicted.probabilities[readable].argmax(axis=1))
        if places is not None and shard.labels is not None:
            truths.append(places[np.array(shard.labels, dtype=np.int64)[readable]])
        bad += len(predicted.broken)
        reason = next((error.reason for error in predicted.broken.values()), reason)
    labeled, truth = np.concatenate(answers), np.concatenate(truths)
    if bad > spec.max_bad_fraction * (bad + len(labeled)) or not len(labeled):
        raise StageError(
            FailureReason.BAD_DATA,
            f"{bad} of {bad + len(labeled)} images of dataset {manifest.called} cannot be read, such as: {reason}",
        )
    top1 = float((labeled == truth).mean()) if len(truth) else None
    named = Counter(labeled.tolist())
    return ModelCheck(
        images=len(labeled),
        bad_images=bad,
        top1=top1,
        classes_named=len(named),
        warnings=tuple(_warnings(manifest, predictor.card.classes, named, top1)),
    )


def _sampled_shards(manifest: DatasetManifest, images: int) -> Iterator[ShardImages]:
    for shard, rows in sampled_rows(manifest, images).items():
        yield read_rows(manifest, shard, np.array(rows))


def _places_of_classes(classes: tuple[str, ...], of_model: tuple[str, ...]) -> npt.NDArray[np.int64] | None:
    """The place of each of the dataset's classes among the model's; None if there are no labels, or others."""
    if not classes or not set(classes) <= set(of_model):
        return None
    return np.array([of_model.index(name) for name in classes], dtype=np.int64)


def _warnings(
    manifest: DatasetManifest, classes: tuple[str, ...], named: Counter[int], top1: float | None
) -> Iterator[str]:
    images = named.total()
    if len(named) == 1 and images >= _FEW_IMAGES:
        [place] = named
        yield (
            f"it names the class {classes[place]!r} for each of the {images} images: are mean, std and crop those that "
            "it was trained with?"
        )
    if manifest.classes and top1 is None:
        other = next(name for name in manifest.classes if name not in classes)
        yield f"its accuracy is unknown: the class {other!r} of dataset {manifest.called} is none of the model's"
    elif manifest.classes and manifest.classes != classes:
        yield (
            f"dataset {manifest.called} has not the model's classes in their order, as the labeled dataset of a run "
            "that it teaches needs them"
        )
    if top1 is not None and images >= _FEW_IMAGES and top1 <= 1 / len(classes):
        yield (
            f"{top1:.1%} of its labels are right, which is no more than by chance: are the classes in the order of the "
            "model's outputs?"
        )
