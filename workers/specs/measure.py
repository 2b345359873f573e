"""What a plan measures on the cluster's own hardware: a run's stages on a few of its images, short of their results."""

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.recipe import Recipe


class MeasuredStudent(Frozen):
    """A model and the recipe it is trained with: generations that train the same are measured once."""

    model: str
    recipe: Recipe
    pseudo_labeled: bool
    """Whether it learns from pseudo-labeled images too, as all but the first teacher do."""


class DataMeasurement(Frozen):
    """One dataset, by some of its shards."""

    images: int
    """Looked at."""
    bytes_an_image: float
    """Of the shards' files."""
    read_seconds_an_image: float
    """Reading shards from where they are, nothing decoded."""


class PhaseMeasurement(Frozen):
    """One phase of a training: the recipe's own, or its resolution step. Seconds are wall time of the whole group."""

    steps: int
    """Timed, once warm."""
    images_a_step: int
    """Over all workers."""
    first_step_seconds: float
    """Of the first one: what it reads, decodes and sets up for the others too."""
    step_seconds: float
    validation_seconds_an_image: float
    corrupted_validation_seconds_an_image: float | None = None
    """With each image under a corruption of its own too, where a search is to look at that."""


class TrainingMeasurement(Frozen):
    """One student in the worker group that the run asks for, or in the part of it that the cluster has room for."""

    parameters: int
    model_bytes: int
    checkpoint_bytes: int
    phases: tuple[PhaseMeasurement, ...]
    checkpoint_seconds: float
    model_write_seconds: float


class TrainingsMeasured(Frozen):
    """What the first worker of the group tells the driver. Times are Unix seconds."""

    work_started_at: float
    """Before the first batch, the first student in place."""
    work_ended_at: float
    workers: int
    trainings: tuple[TrainingMeasurement, ...]


class CleanMeasurement(Frozen):
    """One model on clean images. Seconds are an actor's, for one image, all actors at work."""

    images: int
    load_seconds: float
    """Once an actor."""
    predict_seconds: float
    """Decoding and the model."""
    write_seconds: float
    """Hashing, ordering and writing the label file."""
    label_bytes: float
    corruption_seconds: float | None = None
    """All kinds and severities of the run's robustness settings, for one sampled image."""
    stability_seconds: float | None = None
    adversarial_seconds: float | None = None


class StudentMeasurement(Frozen):
    training: TrainingMeasurement
    clean: CleanMeasurement


class PoolMeasurement(Frozen):
    """The pool of actors that labels and evaluates."""

    actors: int
    setup_seconds: float
    """Until the first actor could load a model."""
    finish_seconds: float
    """From the last image to the end of the pool."""


class GroupMeasurement(Frozen):
    """The worker group that trains."""

    workers: int
    setup_seconds: float
    """Until the first batch, the student's construction included."""
    finish_seconds: float
    """From the last worker's end to the end of the group."""


class SelectMeasurement(Frozen):
    """Selection on this machine, by a small and a large set of label files that were made for it."""

    seconds_a_shard: float
    seconds_a_million_rows: float
    """In one process; large selections use one for each core."""
    bytes_a_row: float
    """Of the selection files, with all rows selected."""
    cores: int
    """Of the machine that the driver runs on, as many as selection uses."""


class ClusterSeen(Frozen):
    """What the measuring cluster had when it was asked."""

    cpus: float
    gpus: float
    nodes: int


class Measurement(Frozen):
    """All that a bill is made of."""

    cluster: ClusterSeen
    driver_seconds: float
    """A stage's process, from its first line to its own code."""
    connect_seconds: float
    """Importing Ray and joining the cluster."""
    datasets: dict[str, DataMeasurement]
    """By the part they play: labeled, unlabeled, validation, test, external sets by `external.NAME`."""
    pool: PoolMeasurement
    group: GroupMeasurement
    select: SelectMeasurement | None
    """Without an unlabeled dataset there is nothing to select from."""
    students: tuple[StudentMeasurement, ...] = Field(min_length=1)
    """In the order of the spec's."""


def external_part(name: str) -> str:
    """Returns what an external evaluation set is called beside `labeled`, `unlabeled`, `validation` and `test`."""
    return f"external.{name}"
