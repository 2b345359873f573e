"""Examples of plans, as OpenAPI shows them: an invented measurement and the bill that the service computes from it."""

from datetime import UTC, datetime, timedelta

from fastapi.openapi.models import Example

from api.examples.requests import RUN_CONFIGS
from service.config.cluster_shape import ClusterShape
from service.config.run import EstimateSettings, RunConfig
from service.estimates.estimated_run import DatasetSize, JobTimes
from service.estimates.forecast import write_bill
from service.stages.generation_plans import generation_plans, measured_students
from service.views.estimates import EstimateSummary, EstimateView
from workers.specs.measure import (
    CleanMeasurement,
    ClusterSeen,
    DataMeasurement,
    GroupMeasurement,
    Measurement,
    PhaseMeasurement,
    PoolMeasurement,
    SelectMeasurement,
    StudentMeasurement,
    TrainingMeasurement,
)

PLAN_REQUESTS: dict[str, Example] = {
    "this cluster": {
        "summary": "Cost on the cluster that measures the plan",
        "value": {"run": RUN_CONFIGS["digits"]["value"]},
    },
    "another cluster": {
        "summary": "On 16 GPUs, most of them spot, with 300 million unlabeled images",
        "value": {
            "run": RUN_CONFIGS["paper"]["value"],
            "cluster": {
                "devices": 16,
                "cpus_per_device": 12,
                "gpus_per_device": 1,
                "price_per_device_hour": 3.2,
                "spot": {"share": 0.75},
            },
            "unlabeled_images": 300000000,
            "sample_seconds": 20,
        },
    },
}
_START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_CONFIG = RunConfig.model_validate(RUN_CONFIGS["digits"]["value"], strict=False)
_SETTINGS = EstimateSettings(cluster=ClusterShape(devices=4, price_per_device_hour=0.05))
_CLEAN = CleanMeasurement(
    images=4000, load_seconds=0.2, predict_seconds=0.0006, write_seconds=0.00002, label_bytes=60.0
)


def _training(images_a_step: int, step_seconds: float) -> TrainingMeasurement:
    phase = PhaseMeasurement(
        steps=120,
        images_a_step=images_a_step,
        first_step_seconds=0.3,
        step_seconds=step_seconds,
        validation_seconds_an_image=0.0005,
    )
    return TrainingMeasurement(
        parameters=372_000,
        model_bytes=1_500_000,
        checkpoint_bytes=6_000_000,
        phases=(phase,),
        checkpoint_seconds=0.1,
        model_write_seconds=0.05,
    )


def _measurement() -> Measurement:
    students, _ = measured_students(generation_plans(_CONFIG))
    data = DataMeasurement(images=1000, bytes_an_image=250.0, read_seconds_an_image=0.000003)
    return Measurement(
        cluster=ClusterSeen(cpus=2.0, gpus=0.0, nodes=1),
        driver_seconds=0.4,
        connect_seconds=1.1,
        datasets=dict.fromkeys(("labeled", "unlabeled", "validation", "test"), data),
        pool=PoolMeasurement(actors=1, setup_seconds=6.1, finish_seconds=0.1),
        group=GroupMeasurement(workers=2, setup_seconds=16.5, finish_seconds=0.2),
        select=SelectMeasurement(seconds_a_shard=0.004, seconds_a_million_rows=0.2, bytes_a_row=0.1, cores=2),
        students=tuple(
            StudentMeasurement(
                training=_training(
                    student.recipe.batch_size + (student.recipe.unlabeled_batch_size if student.pseudo_labeled else 0),
                    0.12 if student.pseudo_labeled else 0.04,
                ),
                clean=_CLEAN,
            )
            for student in students
        ),
    )


PLAN = EstimateView(
    id="plan-c2870fe1b9",
    name=_CONFIG.name,
    state="succeeded",
    state_reason=None,
    created_at=_START,
    finished_at=_START + timedelta(seconds=64),
    run=_CONFIG,
    settings=_SETTINGS,
    bill=write_bill(
        _CONFIG,
        _SETTINGS,
        {
            "labeled": DatasetSize(rows=100, shards=1),
            "unlabeled": DatasetSize(rows=3400, shards=7),
            "validation": DatasetSize(rows=500, shards=1),
            "test": DatasetSize(rows=1000, shards=2),
        },
        _measurement(),
        JobTimes(waiting_seconds=0.25, start_seconds=2.2, finish_seconds=0.2),
    ),
    measurement=_measurement(),
)
PLAN_SUMMARY = EstimateSummary(**PLAN.model_dump(include=set(EstimateSummary.model_fields)))
