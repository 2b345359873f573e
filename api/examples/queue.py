"""Examples of projects, quotas and the queue, as OpenAPI shows them."""

from datetime import UTC, datetime

from fastapi.openapi.models import Example

from service.views.queue import ProjectView, QueuedStage, QueueView

QUOTAS: dict[str, Example] = {
    "limited": {"summary": "A thousand GPU hours", "value": {"device_hours": 1000}},
    "unlimited": {"summary": "No limit", "value": {"device_hours": None}},
}
RUN_CHANGES: dict[str, Example] = {"urgent": {"summary": "Five hours forward", "value": {"priority": 5}}}
PROJECT = ProjectView(name="vision", quota_device_hours=1000.0, spent_device_hours=412.5, exhausted=False)
QUEUE = QueueView(
    max_concurrent_stages=2,
    running_stages=2,
    waiting_stages=1,
    waiting=[
        QueuedStage(
            position=1,
            reason="limit of 2 concurrent stages",
            run_id="run-3f9c2a71d0",
            run_name="digits",
            project="vision",
            priority=0,
            generation=1,
            stage="label",
            ready_at=datetime(2026, 11, 23, 21, 2, tzinfo=UTC),
        )
    ],
)
