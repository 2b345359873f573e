"""The run that is measured, on its sample: what every probe is told, and the specs of its stages."""

from dataclasses import dataclass

from workers.artifact_io import join_uri
from workers.specs.stages import LabelSpec, MeasureSpec, PseudoLabels, TrainSpec


@dataclass(frozen=True)
class SampledRun:
    """The spec, and manifests of the sampled datasets that stand for the run's."""

    spec: MeasureSpec
    folder_uri: str
    """Everything in it is thrown away when the measurement ends."""
    labeled_uri: str
    validation_uri: str
    validation_images: int
    few_validation_uri: str
    """The first images of the same: enough to see how long all of them would take."""
    few_validation_images: int
    test_uri: str
    to_label_uri: str
    """Unlabeled images; the test set's, where the run has none."""
    pseudo_labels: PseudoLabels | None

    def train_spec(self, student: int, folder_uri: str) -> TrainSpec:
        """The training of a student, in that folder."""
        spec, measured = self.spec, self.spec.students[student]
        return TrainSpec(
            run_id=spec.run_id,
            generation=spec.generation,
            attempt=spec.attempt,
            folder_uri=folder_uri,
            seed=spec.seed,
            model=measured.model,
            classes=spec.classes,
            recipe=measured.recipe,
            labeled_manifest_uri=self.labeled_uri,
            validation_manifest_uri=self.validation_uri,
            pseudo_labels=self.pseudo_labels if measured.pseudo_labeled else None,
            workers=spec.workers,
        )

    def label_spec(self, model_uri: str) -> LabelSpec:
        """Labeling by the model in that folder, into the same."""
        spec = self.spec
        return LabelSpec(
            run_id=spec.run_id,
            generation=spec.generation,
            attempt=spec.attempt,
            folder_uri=join_uri(model_uri, "label"),
            seed=spec.seed,
            model_uri=model_uri,
            manifest_uri=self.to_label_uri,
            top_k=spec.top_k,
            batch_size=spec.batch_size,
            pool=spec.pool,
        )
