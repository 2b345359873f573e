"""Examples of lineage, retention, event streams and webhooks, as OpenAPI shows them. Tests parse each request."""

from datetime import UTC, datetime
from importlib.metadata import version

from fastapi.openapi.models import Example

from api.examples.answers import DATASET, EVENT, MODEL
from api.examples.requests import RUN_CONFIGS
from service.config.policies import Artifact
from service.config.run import RunConfig
from service.lifecycle.states import DeliveryState
from service.views.lineage import CollectedArtifact, DatasetLineage, Lineage, ModelLineage, StageLineage
from service.views.retention import Marked, PreviewedArtifact
from service.views.webhooks import DeliveryView, NewWebhookView, WebhookView
from workers.specs.environment import CodeVersion, StageEnvironment

_CONFIG = RunConfig.model_validate(RUN_CONFIGS["digits"]["value"], strict=False)
_FOLDER = "/data/artifacts/runs/run-3f9c2a71d0/gen-1"
_AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
_ENVIRONMENT = StageEnvironment(
    python="3.11.9",
    platform="Linux-6.1.0-x86_64-with-glibc2.36",
    packages={"torch": "2.11.0", "timm": "1.0.31", "ray": "2.60.0", "pyarrow": "20.0.0", "numpy": "2.2.0"},
    code=CodeVersion(
        version=version("noisy-student"),
        git_commit="c0de5c0de5c0de5c0de5c0de5c0de5c0de5c0de5",
        source_digest="6d1f0f6f2f2c4b0f8a53c4a7a5d1b3e2",
    ),
)
_TEACHER = Lineage(
    model_id=MODEL.id,
    run_id=MODEL.run_id,
    generation=0,
    model=MODEL.model,
    uri=MODEL.uri,
    kept=False,
    seed=1_402_119_417,
    recipe=_CONFIG.teacher_recipe,
    selection=None,
    labels_uri=None,
    selection_uri=None,
    stages=[
        StageLineage(
            name="train",
            attempt=1,
            folder_uri=MODEL.uri,
            result_uri=f"{MODEL.uri}/result.json",
            environment=_ENVIRONMENT,
            collected=[],
        )
    ],
    teacher=None,
)
LINEAGE = ModelLineage(
    model_id="run-3f9c2a71d0-g1",
    run_id=MODEL.run_id,
    generation=1,
    model="test_resnet",
    uri=f"{_FOLDER}/train",
    kept=False,
    seed=77_310_442,
    recipe=_CONFIG.student_recipe,
    selection=_CONFIG.selection,
    labels_uri=f"{_FOLDER}/label",
    selection_uri=f"{_FOLDER}/select",
    stages=[
        StageLineage(
            name="label",
            attempt=1,
            folder_uri=f"{_FOLDER}/label",
            result_uri=f"{_FOLDER}/label/result.json",
            environment=_ENVIRONMENT,
            collected=[
                CollectedArtifact(
                    artifact="labels",
                    files=4,
                    bytes=412_311,
                    digest="93a9f2f6d4f1c7f0b7cb4b6f6f4d7e1a",
                    collected_at=_AT,
                )
            ],
        )
    ],
    teacher=_TEACHER,
    datasets=[
        DatasetLineage(
            part="labeled",
            id=DATASET.id,
            name=DATASET.name,
            role=DATASET.role,
            format=DATASET.format,
            uri=DATASET.uri,
            manifest_uri=f"/data/artifacts/datasets/{DATASET.id}/manifest.json",
            rows=DATASET.rows,
            shards=DATASET.shards,
            digest="5b1c" * 16,
            digest_of="images",
        )
    ],
    run_config=_CONFIG,
)
PREVIEWED_ARTIFACT = PreviewedArtifact(
    run_id=MODEL.run_id,
    generation=1,
    stage="label",
    artifact=Artifact.LABELS,
    collect=True,
    reason="superseded by later generations' labels",
    files=4,
    bytes=412_311,
)
MARKED = Marked(marked=3)
STREAM = f"retry: 2000\n\ndata: {EVENT.model_dump_json()}\nid: {EVENT.id}\n\n: still here\n\n"
WEBHOOK_REQUESTS: dict[str, Example] = {
    "all events": {"summary": "Every change", "value": {"url": "https://hooks.example.org/noisy-student"}},
    "ends of runs": {
        "summary": "Only the ends of runs",
        "value": {
            "url": "https://hooks.example.org/noisy-student",
            "kinds": ["run_succeeded", "run_failed", "run_cancelled", "run_gated"],
        },
    },
}
WEBHOOK = WebhookView(
    id="hook-0f6be13a92",
    url="https://hooks.example.org/noisy-student",
    kinds=None,
    created_at=_AT,
    pending=1,
    dead=0,
)
NEW_WEBHOOK = NewWebhookView(**WEBHOOK.model_dump(), secret=f"whsec_{'MDEyMzQ1Njc4OWFi' * 3}")
DELIVERY = DeliveryView(
    event_id=EVENT.id,
    run_id=EVENT.run_id,
    kind=EVENT.kind,
    state=DeliveryState.PENDING,
    attempts=2,
    next_attempt_at=_AT,
    last_attempt_at=_AT,
    last_status=503,
    last_error="answered 503",
)
