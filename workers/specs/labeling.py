"""Who labels an image and how often they look: one teacher once, or several with the mean as their answer."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from workers.specs.base import Frozen, field_error

MOST_FURTHER_TEACHERS = 15
"""Each actor holds all of them in its memory."""


class Views(Frozen):
    """The clean views of an image whose predictions make one pseudo label: test-time augmentation.

    A label is the mean of the probabilities of all views, as in Krizhevsky et al. 2012, section 4.1, whose ten views
    are five crops and their mirror images. Xie et al. 2019 label a single view, the centre crop.
    """

    flip: bool = Field(
        default=False,
        description="Label the mirror image of each view as well. Needs teachers that train with horizontal_flip.",
    )
    crops: Literal[1, 5] = Field(
        default=1,
        description="1: the centre crop. 5: the four corners too, of the picture resized as for the centre crop. Needs "
        "teachers with a random_resized crop and a test_crop_fraction below 1.",
    )

    @property
    def count(self) -> int:
        """Views of each image."""
        return self.crops * (1 + self.flip)


class ImportedLabels(Frozen):
    """Pseudo labels that somebody else has made, for the first generation of students.

    A table has a column `key` (as the pool names its images) or `uri`, and `label` with an optional `confidence`, or
    `probabilities`, or `top_classes` with `top_probabilities`.
    """

    uri: str = Field(
        min_length=1,
        max_length=8000,
        description="A Parquet file or a folder of them: a path on the service's machine, or an s3:// or gs:// URI. It "
        "lies where datasets may lie.",
    )
    key_column: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = Field(
        default=None, description="The column that names the images. Default: `key`, else `uri`."
    )


class ImportedTable(ImportedLabels):
    """Imported labels, and the classes that they name or count."""

    classes: tuple[str, ...]


class LabelingSettings(Frozen):
    """How the teachers of a run label.

    The mean of several models' probabilities is the uniform mixture of Lakshminarayanan et al. 2017, section 2.4; a
    student distills it as in Hinton et al. 2015. Xie et al. 2019 label with one teacher.
    """

    views: Views = Field(
        default=Views(), description="Test-time augmentation: the mean of the probabilities of several views."
    )
    further_teachers: tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...] = Field(
        default=(),
        max_length=MOST_FURTHER_TEACHERS,
        description="Ids of trained models with the same classes that label beside the teacher of each generation: a "
        "label is the mean of the probabilities of all of them (Lakshminarayanan et al. 2017, section 2.4).",
    )

    imported: ImportedLabels | None = Field(
        default=None,
        description="Labels of generation 1 that somebody else has made, instead of a teacher's. Later generations "
        "are labeled by the students before them.",
    )

    @model_validator(mode="after")
    def _no_teacher_counts_twice(self) -> Self:
        for index, name in enumerate(self.further_teachers):
            if name in self.further_teachers[:index]:
                raise field_error(f"further_teachers.{index}", f"{name!r} is named twice: name each model once")
        return self


class LabelingModel(Frozen):
    """A trained model that labels beside the teacher of a generation."""

    model_id: str
    uri: str
    """Folder with its model.safetensors and model.json."""


class LabeledBy(Frozen):
    """What made the labels of a file. Files that differ in it do not belong together."""

    model_uris: tuple[str, ...] = ()
    """The folders of the models whose mean is the label, in alphabetical order; empty for imported labels."""
    imported: str | None = None
    """The digest of the table of imported labels; None if models made them."""
    views: Views
    temperature: float


class LabelConditions(Frozen):
    """What the rows of a label file depend on beside who labeled them."""

    evaluation_manifest_uris: tuple[str, ...]
    """The evaluation datasets that the images were compared with, in alphabetical order."""
    near_duplicate_distance: int
    top_k: int


class ReusableLabels(Frozen):
    """The label files of a label stage that has succeeded, of which another may take over those of the same shards."""

    run_id: str
    generation: int
    labels_uri: str
    """Folder of label files, one per shard."""
    manifest_uri: str
    """The unlabeled dataset that was labeled."""

    @property
    def called(self) -> str:
        """How results and events name them."""
        return f"generation {self.generation} of {self.run_id}"


class PseudoLabels(Frozen):
    """The labels of one unlabeled dataset and the selection from them."""

    manifest_uri: str
    labels_uri: str
    """Folder of label files, one per shard."""
    selection_uri: str
    """Folder of selection files, one per shard."""
    fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the selected images to use, drawn by the seed. A trial may use fewer than all."""
    teachers: tuple[str, ...] = ()
    """The ids of the models whose mean is the label, the generation's own teacher first; empty if nobody knows."""
