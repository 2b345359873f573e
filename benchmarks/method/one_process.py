"""A teacher and its students in this process, without Ray and without the service: the stages' own code, one by one."""

import time
from pathlib import Path

import numpy as np

from workers.data.shards.shard_readers import iterate_shard, load_manifest
from workers.labeling.shard_labeler import ShardLabeler
from workers.models.files import read_card
from workers.models.predictor import Predictor
from workers.runtime.stage_reporter import StageReporter
from workers.selection.stage import run_select
from workers.specs.labeling import PseudoLabels
from workers.specs.recipe import Recipe
from workers.specs.selection import SelectionSettings
from workers.specs.stages import ActorPool, LabelSpec, SelectSpec, TrainSpec
from workers.specs.worker_group import WorkerGroup
from workers.training.group.session import LoneSession
from workers.training.loop import train

_CPUS_ONLY = ActorPool(gpus_per_actor=0)


def train_generations(
    folder: Path,
    manifests: dict[str, Path],
    model: str,
    recipes: list[Recipe],
    selection: SelectionSettings,
    seed: int,
) -> list[Path]:
    """Trains a teacher with the first recipe and a student with each other one. Returns the models' folders.

    `manifests` has the manifests of `labeled`, `unlabeled` and `validation`.
    """
    models: list[Path] = []
    pseudo = None
    for generation, recipe in enumerate(recipes):
        place = folder / f"gen-{generation}"
        if models:
            pseudo = _pseudo_labels(place, manifests, models[-1], selection, generation, seed)
        models.append(_trained(place / "train", manifests, model, recipe, pseudo, generation, seed))
    return models


def validation_accuracy(model: Path) -> float:
    """The accuracy in 0..1 on validation images that training has measured at its end."""
    measured = read_card(str(model)).validation_top1
    assert measured is not None
    return measured


def accuracy(model: Path, manifest: Path) -> float:
    """The accuracy in 0..1 of a model on labeled images."""
    predictor, found = Predictor(str(model)), load_manifest(str(manifest))
    correct = images = 0
    for shard in range(len(found.shards)):
        for piece in iterate_shard(found, shard):
            predicted = predictor.predict(piece.images).probabilities.argmax(axis=1)
            correct += int((predicted == np.array(piece.labels)).sum())
            images += len(predicted)
    return correct / images


def _trained(
    folder: Path,
    manifests: dict[str, Path],
    model: str,
    recipe: Recipe,
    pseudo: PseudoLabels | None,
    generation: int,
    seed: int,
) -> Path:
    folder.mkdir(parents=True)
    spec = TrainSpec(
        run_id="one-process",
        generation=generation,
        attempt=1,
        folder_uri=str(folder),
        seed=seed,
        model=model,
        classes=load_manifest(str(manifests["labeled"])).classes,
        recipe=recipe,
        labeled_manifest_uri=str(manifests["labeled"]),
        validation_manifest_uri=str(manifests["validation"]),
        pseudo_labels=pseudo,
        workers=WorkerGroup(gpus_per_worker=0),
    )
    train(spec, time.time(), LoneSession(0))
    return folder


def _pseudo_labels(
    place: Path, manifests: dict[str, Path], teacher: Path, selection: SelectionSettings, generation: int, seed: int
) -> PseudoLabels:
    labels, selected = place / "label", place / "select"
    labels.mkdir(parents=True)
    selected.mkdir()
    unlabeled = str(manifests["unlabeled"])
    manifest = load_manifest(unlabeled)
    label_spec = LabelSpec(
        run_id="one-process",
        generation=generation,
        attempt=1,
        folder_uri=str(labels),
        seed=seed,
        model_uri=str(teacher),
        manifest_uri=unlabeled,
        pool=_CPUS_ONLY,
    )
    labeler = ShardLabeler(label_spec)
    for shard in range(len(manifest.shards)):
        labeler(shard)
    select_spec = SelectSpec(
        run_id="one-process",
        generation=generation,
        attempt=1,
        folder_uri=str(selected),
        seed=seed,
        manifest_uri=unlabeled,
        labels_uri=str(labels),
        classes=load_manifest(str(manifests["labeled"])).classes,
        settings=selection,
    )
    run_select(select_spec, StageReporter(select_spec, time.time()))
    return PseudoLabels(manifest_uri=unlabeled, labels_uri=str(labels), selection_uri=str(selected))
