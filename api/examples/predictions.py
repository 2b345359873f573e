"""Examples of predictions, as OpenAPI shows them."""

from datetime import UTC, datetime, timedelta

from fastapi.openapi.models import Example

from service.config.predictions import PredictionSettings
from service.views.studies import PredictionSummary, PredictionView
from workers.specs.hygiene import BrokenKind
from workers.specs.prediction import KnownTruth, PredictionOutcome

PREDICTION_REQUESTS: dict[str, Example] = {
    "five classes": {
        "summary": "The five most probable classes of each image",
        "value": {"model": "run-3f9c2a71d0-g3", "dataset": "ds-8a41c0de55"},
    },
    "all classes": {
        "summary": "The probabilities of all classes, on up to eight GPUs",
        "value": {
            "model": "run-3f9c2a71d0-g3",
            "dataset": "ds-8a41c0de55",
            "top_k": None,
            "pool": {"max_actors": 8, "gpus_per_actor": 1},
        },
    },
}
_START = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
PREDICTION_SUMMARY = PredictionSummary(
    id="prediction-91c4e07b2d",
    name="run-3f9c2a71d0-g3 on digits, labeled",
    state="succeeded",
    state_reason=None,
    settings=PredictionSettings(model="run-3f9c2a71d0-g3", dataset="ds-8a41c0de55"),
    created_at=_START,
    finished_at=_START + timedelta(seconds=21),
)
PREDICTION = PredictionView(
    **PREDICTION_SUMMARY.model_dump(),
    progress=None,
    outcome=PredictionOutcome(
        images=3400,
        predicted=3399,
        bad_images=1,
        bad_by_kind={BrokenKind.TRUNCATED: 1},
        shards=8,
        shards_resumed=0,
        mean_confidence=0.94,
        images_per_second=1900.0,
        truth=KnownTruth(images=3399, top1_right=3263, top5_right=3395),
    ),
    top1=3263 / 3399,
    top5=3395 / 3399,
    folder_uri="s3://artifacts/runs/prediction-91c4e07b2d/gen-0/predict",
)
