"""Makes measurements with round figures."""

from typing import Any

from workers.specs.measure import (
    CleanMeasurement,
    ClusterSeen,
    DataMeasurement,
    GroupMeasurement,
    MeasuredStudent,
    Measurement,
    PhaseMeasurement,
    PoolMeasurement,
    SelectMeasurement,
    StudentMeasurement,
    TrainingMeasurement,
)

PARTS = ("labeled", "unlabeled", "validation", "test")


def made_measurement(
    students: tuple[MeasuredStudent, ...], parts: tuple[str, ...] = PARTS, **changes: Any
) -> Measurement:
    """Measurements in which an actor labels 100 images per second, a step takes 0.1 s, and a start takes 1 to 10 s."""
    data = DataMeasurement(images=10, bytes_an_image=1000.0, read_seconds_an_image=0.0)
    values: dict[str, Any] = {
        "cluster": ClusterSeen(cpus=2.0, gpus=0.0, nodes=1),
        "driver_seconds": 0.5,
        "connect_seconds": 0.5,
        "datasets": dict.fromkeys(parts, data),
        "pool": PoolMeasurement(actors=1, setup_seconds=5.0, finish_seconds=0.0),
        "group": GroupMeasurement(workers=1, setup_seconds=10.0, finish_seconds=0.0),
        "select": SelectMeasurement(seconds_a_shard=0.001, seconds_a_million_rows=0.25, bytes_a_row=0.5, cores=4),
        "students": tuple(made_student(student) for student in students),
        **changes,
    }
    return Measurement(**values)


def made_student(student: MeasuredStudent) -> StudentMeasurement:
    recipe = student.recipe
    images = recipe.batch_size + (recipe.unlabeled_batch_size if student.pseudo_labeled else 0)
    phases = [made_phase(images)]
    if recipe.resolution_step is not None:
        phases.append(made_phase(recipe.batch_size))
    return StudentMeasurement(
        training=TrainingMeasurement(
            parameters=1000,
            model_bytes=4000,
            checkpoint_bytes=16_000,
            phases=tuple(phases),
            checkpoint_seconds=1.0,
            model_write_seconds=0.5,
        ),
        clean=CleanMeasurement(
            images=100,
            load_seconds=1.0,
            predict_seconds=0.008,
            write_seconds=0.002,
            label_bytes=50.0,
            corruption_seconds=0.5,
            stability_seconds=0.25,
            adversarial_seconds=1.0,
        ),
    )


def made_phase(images: int) -> PhaseMeasurement:
    return PhaseMeasurement(
        steps=50, images_a_step=images, first_step_seconds=1.1, step_seconds=0.1, validation_seconds_an_image=0.01
    )
