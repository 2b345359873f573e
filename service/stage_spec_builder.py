"""Freezes the spec of a stage: from the run's configuration, the generation's plan and the results before it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from service.artifact_layout import ArtifactLayout
from service.run_config import GenerationPlan, RunConfig
from workers.specs.stages import (
    AnyStageSpec,
    EvaluateSpec,
    LabelSpec,
    PseudoLabels,
    PseudoLabelTruth,
    SelectSpec,
    StageName,
    TrainSpec,
)


@dataclass(frozen=True)
class SpecInputs:
    """All that specs of one run are made of."""

    run_id: str
    config: RunConfig
    classes: tuple[str, ...]
    plans: Mapping[int, GenerationPlan]
    """By generation."""
    model_uris: Mapping[int, str]
    """The folders of the models trained so far, by generation."""
    hashed_datasets: frozenset[str]
    """Those of the run's datasets whose content hashes are on file."""


def generation_seed(seed: int, generation: int) -> int:
    """The seed of one generation: a run's generations differ, and so do neighbouring seeds' generations."""
    digest = hashlib.blake2b(f"{seed}/{generation}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) >> 1


def build_stage_spec(
    inputs: SpecInputs, layout: ArtifactLayout, generation: int, stage: StageName, attempt: int
) -> AnyStageSpec:
    """The spec that attempt `attempt` of a stage is given."""
    return _Builder(inputs, layout, generation, attempt).build(stage)


class _Builder:
    """The parts that specs of one generation share."""

    def __init__(self, inputs: SpecInputs, layout: ArtifactLayout, generation: int, attempt: int) -> None:
        self._inputs = inputs
        self._datasets = inputs.config.datasets
        self._resources = inputs.config.resources
        self._plan = inputs.plans[generation]
        self._layout = layout
        self._generation = generation
        self._attempt = attempt

    def build(self, stage: StageName) -> AnyStageSpec:
        match stage:
            case "label":
                return self._label()
            case "select":
                return self._select()
            case "train":
                return self._train()
            case "evaluate":
                return self._evaluate()
            case "search" | "ablate":
                raise NotImplementedError(stage)

    def _label(self) -> LabelSpec:
        return LabelSpec(
            run_id=self._inputs.run_id,
            generation=self._generation,
            attempt=self._attempt,
            folder_uri=self._folder("label"),
            seed=self._plan.seed,
            max_bad_fraction=self._inputs.config.max_bad_fraction,
            # The student of the generation before is the teacher of this one.
            model_uri=self._inputs.model_uris[self._generation - 1],
            manifest_uri=self._unlabeled_manifest(),
            top_k=self._resources.top_k,
            batch_size=self._resources.batch_size,
            pool=self._resources.label,
        )

    def _select(self) -> SelectSpec:
        return SelectSpec(
            run_id=self._inputs.run_id,
            generation=self._generation,
            attempt=self._attempt,
            folder_uri=self._folder("select"),
            seed=self._plan.seed,
            max_bad_fraction=self._inputs.config.max_bad_fraction,
            manifest_uri=self._unlabeled_manifest(),
            labels_uri=self._folder("label"),
            classes=self._inputs.classes,
            settings=self._plan.selection,
            held_out_hashes_uris=tuple(
                self._layout.hashes(dataset)
                for dataset in (self._datasets.validation, self._datasets.test)
                if dataset in self._inputs.hashed_datasets
            ),
        )

    def _train(self) -> TrainSpec:
        return TrainSpec(
            run_id=self._inputs.run_id,
            generation=self._generation,
            attempt=self._attempt,
            folder_uri=self._folder("train"),
            seed=self._plan.seed,
            max_bad_fraction=self._inputs.config.max_bad_fraction,
            model=self._plan.model,
            classes=self._inputs.classes,
            recipe=self._plan.recipe,
            labeled_manifest_uri=self._layout.manifest(self._datasets.labeled),
            validation_manifest_uri=self._layout.manifest(self._datasets.validation),
            pseudo_labels=self._pseudo_labels(),
            workers=self._resources.train,
        )

    def _evaluate(self) -> EvaluateSpec:
        return EvaluateSpec(
            run_id=self._inputs.run_id,
            generation=self._generation,
            attempt=self._attempt,
            folder_uri=self._folder("evaluate"),
            seed=self._plan.seed,
            max_bad_fraction=self._inputs.config.max_bad_fraction,
            model_uri=self._inputs.model_uris[self._generation],
            manifest_uri=self._layout.manifest(self._datasets.test),
            batch_size=self._resources.batch_size,
            pool=self._resources.label,
            pseudo_label_truth=self._pseudo_label_truth(),
        )

    def _pseudo_labels(self) -> PseudoLabels | None:
        if self._generation == 0:
            return None
        return PseudoLabels(
            manifest_uri=self._unlabeled_manifest(),
            labels_uri=self._folder("label"),
            selection_uri=self._folder("select"),
        )

    def _pseudo_label_truth(self) -> PseudoLabelTruth | None:
        if self._generation == 0 or self._datasets.pseudo_label_truth is None:
            return None
        return PseudoLabelTruth(
            labels_uri=self._folder("label"),
            labels_manifest_uri=self._unlabeled_manifest(),
            truth_manifest_uri=self._layout.manifest(self._datasets.pseudo_label_truth),
        )

    def _folder(self, stage: StageName) -> str:
        return self._layout.stage_folder(self._inputs.run_id, self._generation, stage)

    def _unlabeled_manifest(self) -> str:
        # Run creation refuses generations after the first without an unlabeled dataset.
        assert self._datasets.unlabeled is not None
        return self._layout.manifest(self._datasets.unlabeled)
