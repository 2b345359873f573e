"""Where the stages of one generation find their inputs and write their files."""

from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.stages.spec_inputs import SpecInputs
from workers.specs.hygiene import FingerprintedImages
from workers.specs.stages import StageName


class StagePlaces:
    """The places of the generation `generation` of a run."""

    def __init__(self, inputs: SpecInputs, layout: ArtifactLayout, generation: int) -> None:
        self._inputs = inputs
        self._layout = layout
        self._generation = generation
        self._datasets = inputs.config.datasets

    def _evaluation_images(self) -> tuple[FingerprintedImages, ...]:
        """The datasets that evaluate models, each once: validation, test and external ones."""
        external = (each.dataset for each in self._inputs.config.evaluation.external)
        datasets = dict.fromkeys([self._datasets.validation, self._datasets.test, *external])
        return tuple(map(self._fingerprinted, datasets))

    def _fingerprinted(self, dataset: str) -> FingerprintedImages:
        return FingerprintedImages(
            manifest_uri=self._layout.manifest(dataset), fingerprints_uri=self._layout.fingerprints(dataset)
        )

    def _folder(self, stage: StageName) -> str:
        return self._layout.stage_folder(StageKey(self._inputs.run_id, self._generation, stage))

    def _source_folder(self, stage: StageName) -> str:
        return self._layout.stage_folder(StageKey(self._inputs.source_run_id, self._generation, stage))

    def _unlabeled_manifest(self) -> str:
        return self._layout.manifest(self._inputs.unlabeled(self._generation))
