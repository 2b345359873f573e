"""The measurements of a plan: what a run's stages take on this cluster for a few of its images."""

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.recipe import Recipe


class MeasuredStudent(Frozen):
    """A model and its recipe. Generations that train the same are measured once."""

    model: str
    recipe: Recipe
    pseudo_labeled: bool
    """Whether it learns from pseudo-labeled images too, as all but the first teacher do."""


class DataMeasurement(Frozen):
    """What reading one dataset takes, measured with some of its shards."""

    images: int
    """How many images were read."""
    bytes_an_image: float
    """The stored bytes of the shards, divided by their images."""
    read_seconds_an_image: float
    """The seconds to read shards without decoding them."""


class PhaseMeasurement(Frozen):
    """One phase of a training: the recipe's own, or its resolution step. Seconds are wall time of the whole group."""

    steps: int
    """How many steps were timed after the warm-up."""
    images_a_step: int
    """Over all workers."""
    first_step_seconds: float
    """The first step, which also reads, decodes and sets up for the others."""
    step_seconds: float
    validation_seconds_an_image: float
    corrupted_validation_seconds_an_image: float | None = None
    """The same with each image under a corruption of its own, if a search needs that."""


class TrainingMeasurement(Frozen):
    """One student in the worker group that the run asks for, or in the part of it that the cluster has room for."""

    parameters: int
    model_bytes: int
    checkpoint_bytes: int
    phases: tuple[PhaseMeasurement, ...]
    checkpoint_seconds: float
    model_write_seconds: float


class TrainingsMeasured(Frozen):
    """What the first worker of the group reports to the driver. Times are Unix seconds."""

    work_started_at: float
    """When the first student was built, before its first batch."""
    work_ended_at: float
    workers: int
    trainings: tuple[TrainingMeasurement, ...]


class CleanMeasurement(Frozen):
    """One model on clean images. Seconds are those of one actor for one image, while all actors work."""

    images: int
    load_seconds: float
    """Seconds to load the model, once for each actor."""
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
    """One student: its training, and its model on clean images."""

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
    """Selection on this machine, measured with made-up label files."""

    seconds_a_shard: float
    seconds_a_million_rows: float
    """In one process; large selections use one for each core."""
    bytes_a_row: float
    """Of the selection files, with all rows selected."""
    cores: int
    """Of the machine that the driver runs on, as many as selection uses."""


class ClusterSeen(Frozen):
    """The resources of the cluster when it was measured."""

    cpus: float
    gpus: float
    nodes: int


class Measurement(Frozen):
    """All measurements that a bill is computed from."""

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
    """The name of an external set's part, beside `labeled`, `unlabeled`, `validation` and `test`."""
    return f"external.{name}"
