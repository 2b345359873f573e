"""The measurements of a plan: what a run's stages take on this cluster, measured on a sample of its images."""

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.recipe import Recipe


class MeasuredStudent(Frozen):
    """A model and its recipe. Generations that train the same one are measured once."""

    model: str
    recipe: Recipe
    pseudo_labeled: bool
    """Whether it also learns from pseudo-labeled images, as all but the first teacher do."""
    initial_model_uri: str | None = None
    """Folder of the model of the service that it begins with, if the recipe names one."""


class DataMeasurement(Frozen):
    """The cost of reading one dataset, measured on some of its shards."""

    images: int
    """How many images were read."""
    bytes_an_image: float
    """The stored bytes of the shards, divided by their images."""
    read_seconds_an_image: float
    """Seconds per image to read shards without decoding."""


class PhaseMeasurement(Frozen):
    """One phase of a training: the main one or the resolution step. Seconds are wall time of the whole group."""

    steps: int
    """How many steps were timed after the warm-up."""
    images_a_step: int
    """Images per step, over all workers."""
    first_step_seconds: float
    """Seconds of the first step, which also reads, decodes and sets up for the others."""
    step_seconds: float
    validation_seconds_an_image: float
    corrupted_validation_seconds_an_image: float | None = None
    """The same with each image under its own corruption; None unless a search needs it."""


class TrainingMeasurement(Frozen):
    """One student's training, in as much of the run's worker group as the cluster has room for."""

    parameters: int
    model_bytes: int
    checkpoint_bytes: int
    phases: tuple[PhaseMeasurement, ...]
    checkpoint_seconds: float
    model_write_seconds: float


class TrainingsMeasured(Frozen):
    """What the first worker of the group reports to the driver. Times are Unix seconds."""

    work_started_at: float
    """The time at which the first student had been built, before its first batch."""
    work_ended_at: float
    workers: int
    trainings: tuple[TrainingMeasurement, ...]


class CleanMeasurement(Frozen):
    """One model on clean images. Unless noted, seconds are one actor's for one image while all actors work."""

    images: int
    load_seconds: float
    """Seconds to load the model, once for each actor."""
    predict_seconds: float
    """Seconds to decode an image and run the model on it."""
    views_seconds: float | None = None
    """The same with all views that the run's labeling takes of an image; None if it takes one, or has several
    teachers."""
    together_seconds: float | None = None
    """The same with all further teachers of the run, each in all views; None if it has none."""
    together_load_seconds: float | None = None
    """Seconds to load all of these models, once for each actor that labels."""
    further_bytes: float = 0.0
    """The weights of the further teachers, which each actor that labels reads."""
    write_seconds: float
    """Seconds per image to hash, order and write the label file."""
    label_bytes: float
    corruption_seconds: float | None = None
    """Seconds for one sampled image under all kinds and severities of the run's robustness settings."""
    stability_seconds: float | None = None
    adversarial_seconds: float | None = None

    @property
    def label_seconds(self) -> float:
        """Seconds to decode an image and run the models as often as labeling does."""
        if self.together_seconds is not None:
            return self.together_seconds
        return self.predict_seconds if self.views_seconds is None else self.views_seconds

    @property
    def label_load_seconds(self) -> float:
        """Seconds to load the models, once for each actor that labels."""
        return self.load_seconds if self.together_load_seconds is None else self.together_load_seconds


class StudentMeasurement(Frozen):
    """The measurements of one student: its training, and its model on clean images."""

    training: TrainingMeasurement
    clean: CleanMeasurement


class PoolMeasurement(Frozen):
    """The start and end of the actor pool that labels and evaluates."""

    actors: int
    gpus_per_actor: float | None = None
    """GPUs of each actor, as the driver decided; None in measurements of versions that did not record it."""
    setup_seconds: float
    """Seconds until the first actor could load a model."""
    finish_seconds: float
    """Seconds from the last image to the end of the pool."""


class GroupMeasurement(Frozen):
    """The start and end of the worker group that trains."""

    workers: int
    gpus_per_worker: float | None = None
    """GPUs of each worker, as the driver decided; None in measurements of versions that did not record it."""
    setup_seconds: float
    """Seconds until the first batch, including the construction of the student."""
    finish_seconds: float
    """Seconds from the last worker's end to the end of the group."""


class SelectMeasurement(Frozen):
    """Selection on this machine, measured with made-up label files."""

    seconds_a_shard: float
    seconds_a_million_rows: float
    """Seconds of a single process. Large selections use several."""
    bytes_a_row: float
    """Bytes per row of the selection files when all rows are selected."""
    cores: int
    """How many cores of the driver's machine selection uses."""


class ClusterSeen(Frozen):
    """The resources of the cluster when the nodes were there that the measurement needed."""

    cpus: float
    gpus: float
    nodes: int
    cpus_beside_gpus: float | None = None
    """CPUs of the nodes with GPUs; None, here and below, in measurements of versions that did not record it."""
    most_cpus: float | None = None
    """CPUs with all nodes that the groups of an autoscaler may start; None if there are no such groups."""
    most_gpus: float | None = None
    """GPUs with all of these nodes."""


class Measurement(Frozen):
    """All measurements from which a bill is computed."""

    cluster: ClusterSeen
    driver_seconds: float
    """Seconds from the first line of a stage's process to the stage's own code."""
    connect_seconds: float
    """Seconds to import Ray and join the cluster."""
    datasets: dict[str, DataMeasurement]
    """By part: `labeled`, `unlabeled`, `validation`, `test`, and `external.NAME` for external sets."""
    pool: PoolMeasurement
    group: GroupMeasurement
    select: SelectMeasurement | None
    """None without an unlabeled dataset, since there is nothing to select from."""
    students: tuple[StudentMeasurement, ...] = Field(min_length=1)
    """In the order of the students in the spec."""


def external_part(name: str) -> str:
    """The part name of an external set; the other parts are `labeled`, `unlabeled`, `validation` and `test`."""
    return f"external.{name}"
