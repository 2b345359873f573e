"""The API's answers about where a model comes from: what is needed to train it again, or how it was registered."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import Field

from service.config.datasets import DatasetPart
from service.config.run import RunConfig
from service.views.base import View
from service.views.runs import _UNREADABLE, ModelView
from workers.specs.datasets import DatasetFormat, DatasetRole, DigestOf
from workers.specs.devices import Devices
from workers.specs.environment import StageEnvironment
from workers.specs.hygiene import JudgedOn
from workers.specs.initialization import InitialWeights, InputConfiguration
from workers.specs.labeling import MOST_FURTHER_TEACHERS
from workers.specs.labeling import Views as LabelViews
from workers.specs.recipe import Recipe
from workers.specs.registration import ModelCheck, RegistrationSettings
from workers.specs.selection import SelectionSettings
from workers.specs.stages import StageName


class CollectedArtifact(View):
    """An artifact that retention has deleted or is deleting."""

    artifact: str
    files: int | None = Field(description="Null during deletion.")
    bytes: int | None
    digest: str | None = Field(
        description="blake2b over names and contents of the files; collected-*.json in the stage's folder lists them."
    )
    collected_at: datetime | None


class StageLineage(View):
    """A stage that the model comes from."""

    name: StageName
    attempt: int | None = Field(description="The successful attempt; null if the stage has not succeeded.")
    folder_uri: str
    result_uri: str
    environment: StageEnvironment | None = Field(
        description="Code version, Python and packages; null if the stage did not record them."
    )
    devices: Devices | None = Field(
        default=None, description="What the successful attempt was charged for; null if the stage did not record it."
    )
    collected: list[CollectedArtifact]


class DatasetLineage(View):
    """A dataset of the run."""

    part: str = Field(
        description="labeled, unlabeled, validation, test, pseudo_label_truth, external.NAME, or unlabeled.N for the "
        "pool of generation N if it is not the run's; check for an imported model.",
    )
    id: str
    name: str
    role: DatasetRole
    format: DatasetFormat
    uri: str
    manifest_uri: str
    rows: int
    shards: int
    digest: str | None
    digest_of: DigestOf | None
    split_off: DatasetPart | None = Field(
        default=None, description="How it was split off the labeled images at the URI; null if it is all of them."
    )


class Lineage(View):
    """A model, and recursively its teachers down to one that no model taught, perhaps of another run."""

    model_id: str
    run_id: str
    generation: int
    model: str = Field(description="timm model name.")
    uri: str
    imported_from: str | None = Field(
        default=None, description="The file of weights of a model that was trained elsewhere; null for others."
    )
    kept: bool
    seed: int = Field(description="The generation's seed; all of its stages use it.")
    recipe: Recipe = Field(
        description="The recipe as trained; the winner's if there was a search. Of an imported model only image_size, "
        "mean, std, crop, test_crop_fraction and interpolation are known."
    )
    initial_weights: InitialWeights | None = Field(
        default=None,
        description="The weights that training began with, or that were imported; null: random ones, or an earlier "
        "version that did not record them.",
    )
    selection: SelectionSettings | None = Field(description="Null for the first teacher.")
    views: LabelViews | None = Field(
        default=None,
        description="The views of each image whose mean is the label that the model learned from; null for the first "
        "teacher.",
    )
    further_teachers: tuple[str, ...] = Field(
        default=(),
        max_length=MOST_FURTHER_TEACHERS,
        description="Ids of the models that labeled beside the teacher; each has a lineage of its own.",
    )
    labels_uri: str | None = Field(description="Folder of the label files that the model learned from.")
    selection_uri: str | None = Field(description="Folder of the selection that the model learned from.")
    gate_on: JudgedOn | None = Field(
        default=None,
        description="The images on which the run's gate chooses teachers; null without a gate. If they are the test "
        "images, the test accuracy of the run is optimistic.",
    )
    stages: list[StageLineage]
    teacher_id: str | None = Field(default=None, description="The model that taught it; null for the first teacher.")
    teacher: "Lineage | None" = Field(
        description="Null for the first teacher, and for a given teacher of a project that the caller may not see."
    )

    def line(self) -> "Iterator[Lineage]":
        """Yields the model and its teachers, down to the first."""
        current: Lineage | None = self
        while current is not None:
            yield current
            current = current.teacher


class ModelLineage(Lineage):
    """The answer of GET /models/{id}/lineage."""

    datasets: list[DatasetLineage]
    run_config: RunConfig | None = Field(
        description="Post it to /runs to train this model and its teachers again, with the same seeds and decisions. A "
        "teacher that its run was given is taken as it is. Null for an imported model."
    )


class RegistrationSummary(View):
    """A registration in a listing. Its id is a run's id and works for events, stages, logs, cancel and retry."""

    id: str
    name: str
    project: str
    state: str
    state_reason: str | None = Field(description="Why the model was not registered.")
    created_at: datetime
    finished_at: datetime | None


class RegistrationView(RegistrationSummary):
    settings: RegistrationSettings | None = Field(description=f"The requested settings; {_UNREADABLE}")
    model: ModelView | None = Field(description="The model, once the check has passed.")
    input: InputConfiguration | None = Field(description="How the model sees pictures, once they have been read.")
    check: ModelCheck | None = Field(description="What the model did with the images, once it has labeled them.")
