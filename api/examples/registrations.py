"""Examples of registrations of models, as OpenAPI shows them."""

from datetime import UTC, datetime, timedelta

from fastapi.openapi.models import Example

from service.views.lineage import RegistrationSummary, RegistrationView
from service.views.runs import ModelView
from workers.specs.initialization import InputConfiguration
from workers.specs.registration import ModelCheck, RegistrationSettings

REGISTRATION_REQUESTS: dict[str, Example] = {
    "a folder of timm's": {
        "summary": "Weights, classes and input configuration as timm saves them",
        "value": {"name": "pets of 2024", "uri": "s3://pets/resnet50", "check": {"dataset": "ds-8a41c0de55"}},
    },
    "a checkpoint": {
        "summary": "A file that says neither the model nor its classes",
        "value": {
            "name": "digits",
            "uri": "s3://digits/checkpoint.pth",
            "model": "test_resnet",
            "classes": ["zero", "one"],
            "input": {"image_size": 28, "crop": "none"},
            "check": {"dataset": "ds-8a41c0de55", "images": 200},
        },
    },
}
_START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_ID = "model-5e0cb1a2f7"
_URI = "s3://pets/resnet50/model.safetensors"
REGISTRATION_SUMMARY = RegistrationSummary(
    id=_ID,
    name="pets of 2024",
    project="default",
    state="succeeded",
    state_reason=None,
    created_at=_START,
    finished_at=_START + timedelta(seconds=20),
)
REGISTRATION = RegistrationView(
    **REGISTRATION_SUMMARY.model_dump(),
    settings=RegistrationSettings(uri="s3://pets/resnet50"),
    model=ModelView(
        id=f"{_ID}-g0",
        run_id=_ID,
        generation=0,
        model="resnet50",
        parameters=23_583_845,
        uri=f"s3://noisy-student/runs/{_ID}/gen-0/verify",
        validation_top1=0.93,
        test_top1=None,
        created_at=_START + timedelta(seconds=20),
        imported_from=_URI,
        weights_digest="9f2c" * 16,
    ),
    input=InputConfiguration(
        image_size=224,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        crop="random_resized",
        test_crop_fraction=0.95,
        interpolation="bicubic",
    ),
    check=ModelCheck(images=64, bad_images=0, top1=0.93, classes_named=35),
)
