"""The run that is measured, on its sample: what every probe is told, and the specs of its stages."""

from dataclasses import dataclass

from workers.artifact_io import join_uri
from workers.specs.labeling import PseudoLabels
from workers.specs.stages import LabelSpec, MeasureSpec, TrainSpec


@dataclass(frozen=True)
class SampledRun:
    """A measurement's spec, and the sampled datasets that stand for those of the run."""

    spec: MeasureSpec
    folder_uri: str
    """A folder that is deleted when the measurement ends."""
    labeled_uri: str
    validation_uri: str
    validation_images: int
    few_validation_uri: str
    """The first validation images: enough to see how long all of them would take."""
    few_validation_images: int
    test_uri: str
    to_label_uri: str
    """Unlabeled images, or those of the test set if the run has none."""
    pseudo_labels: PseudoLabels | None

    def train_spec(self, student: int, folder_uri: str) -> TrainSpec:
        """The training of a student, which writes to `folder_uri`."""
        return training_of(self.spec, student, folder_uri).model_copy(
            update={
                "labeled_manifest_uri": self.labeled_uri,
                "validation_manifest_uri": self.validation_uri,
                "pseudo_labels": self.pseudo_labels if self.spec.students[student].pseudo_labeled else None,
            }
        )

    def label_spec(self, model_uri: str) -> LabelSpec:
        """Labeling by the model at `model_uri`, which writes below the same folder."""
        spec = self.spec
        return LabelSpec(
            run_id=spec.run_id,
            generation=spec.generation,
            attempt=spec.attempt,
            folder_uri=join_uri(model_uri, "label"),
            seed=spec.seed,
            nodes=spec.nodes,
            model_uri=model_uri,
            manifest_uri=self.to_label_uri,
            top_k=spec.top_k,
            batch_size=spec.batch_size,
            pool=spec.pool,
        )


def training_of(spec: MeasureSpec, student: int, folder_uri: str) -> TrainSpec:
    """The training of a student on all labeled images and no others, which writes to `folder_uri`."""
    measured = spec.students[student]
    return TrainSpec(
        run_id=spec.run_id,
        generation=spec.generation,
        attempt=spec.attempt,
        folder_uri=folder_uri,
        seed=spec.seed,
        nodes=spec.nodes,
        model=measured.model,
        classes=spec.classes,
        recipe=measured.recipe,
        labeled_manifest_uri=spec.labeled_manifest_uri,
        validation_manifest_uri=spec.validation_manifest_uri,
        initial_model_uri=measured.initial_model_uri,
        file_roots=spec.file_roots,
        workers=spec.workers,
    )
