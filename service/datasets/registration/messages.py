"""The messages to and from an inspector process: one line of JSON each."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from service.config.datasets import DatasetRequest, LookRequest
from service.datasets.inspection.versions import VersionBefore
from service.views.looks import DatasetLook
from workers.data.dataset_roots import DatasetRoots
from workers.specs.base import Frozen
from workers.specs.datasets import DatasetFormat, DatasetRole, DigestOf
from workers.specs.labeling import ImportedTable


class InspectionJob(Frozen):
    """A dataset to inspect, or the files that a new version of one adds."""

    job: Literal["inspect"] = "inspect"
    request: DatasetRequest
    before: VersionBefore | None = None
    """The version that the dataset continues; None for one that begins anew."""
    dataset_id: str
    artifact_root: str
    """Where the process writes the manifest, the hashes and the parts of a list."""
    roots: DatasetRoots
    """The roots under which the dataset must lie."""
    held: tuple[str, ...] = ()
    """The ids of the datasets whose images are left out; each has content hashes."""


class LookJob(Frozen):
    """A place to look at."""

    job: Literal["look"] = "look"
    request: LookRequest
    roots: DatasetRoots
    """The roots under which the place must lie."""


class PictureJob(Frozen):
    """An image of a registered dataset to show to a person, or to export."""

    job: Literal["picture"] = "picture"
    manifest_uri: str
    shard: int
    row: int
    roots: DatasetRoots
    """The roots under which the dataset must lie."""
    is_whole: bool = False
    """Whether the image is wanted as it is stored, if it is a picture; else a small one, encoded again."""


class LabelsJob(Frozen):
    """A table of pseudo labels that somebody else has made, to be checked from its first row to its last."""

    job: Literal["labels"] = "labels"
    table: ImportedTable
    roots: DatasetRoots
    """The roots under which the table must lie."""


Job = InspectionJob | LookJob | PictureJob | LabelsJob
JOB: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="job")])


class DatasetSummary(Frozen):
    """What the database records of a dataset whose manifest and hashes are written. It is small for any dataset."""

    answer: Literal["found"] = "found"
    dataset_id: str
    role: DatasetRole
    format: DatasetFormat
    classes: tuple[str, ...]
    rows: int
    shards: int
    class_counts: dict[str, int] | None
    """The number of images of each class, in index order; None for an unlabeled dataset."""
    sampled: int
    sampled_bad: int
    picture_side: int | None = None
    hashed: bool
    """Whether the artifact root holds the content hashes."""
    digest: str
    digest_of: DigestOf
    warnings: tuple[str, ...] = ()


class LookAnswer(Frozen):
    """What a place was taken for."""

    answer: Literal["looked"] = "looked"
    look: DatasetLook


class PictureAnswer(Frozen):
    """A small picture, or a whole image."""

    answer: Literal["picture"] = "picture"
    image: str | None
    """In base64; None for a broken image."""
    broken: str | None
    """Why the image is broken; None for a picture."""


class LabelsAnswer(Frozen):
    """Labels that can be used."""

    answer: Literal["labels"] = "labels"
    labels: int
    """How many there are."""


class Refusal(Frozen):
    """The dataset is unusable. `field` names the request's field, `message` says why."""

    answer: Literal["refused"] = "refused"
    field: str
    message: str


class StoreFailure(Frozen):
    """The inspector could not write to the artifact store."""

    answer: Literal["store"] = "store"
    message: str


Answer = DatasetSummary | LookAnswer | PictureAnswer | LabelsAnswer | Refusal | StoreFailure
ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="answer")])


def too_much_memory(memory_bytes: int) -> str:
    """Returns the message for a dataset whose inspection exceeds the memory limit."""
    return (
        f"cannot be inspected: it takes more than {memory_bytes >> 20} MiB of memory; where its files are what they "
        "should be, raise the setting registration.memory_mib"
    )
