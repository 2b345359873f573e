"""Examples of keys, callers and the audit log, as OpenAPI shows them."""

from datetime import UTC, datetime

from fastapi.openapi.models import Example

from service.config.access import Scope
from service.views.access import AuditEntryView, CallerView, CreatedKey, KeyView
from service.views.health import ServiceSettings, SettingView

_AT = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)

KEY_REQUESTS: dict[str, Example] = {
    "operator": {
        "summary": "For a pipeline that starts runs of one project",
        "value": {"name": "nightly", "scope": "operator", "project": "pets", "expires_at": "2027-11-23T00:00:00Z"},
    },
    "admin": {"summary": "For the service's operator", "value": {"name": "ops", "scope": "admin", "project": None}},
}
KEY = KeyView(
    id="key-5f0c1b1e90ab",
    name="nightly",
    scope=Scope.OPERATOR,
    project="pets",
    created_at=_AT,
    created_by="key-0a1b2c3d4e5f",
    expires_at=datetime(2027, 11, 23, tzinfo=UTC),
    revoked_at=None,
)
CREATED_KEY = CreatedKey(**KEY.model_dump(), key=f"nsk_5f0c1b1e90ab_{'0' * 43}")
CALLER = CallerView(
    subject="key-5f0c1b1e90ab", kind="key", scope=Scope.OPERATOR, projects=["pets"], service_version="1.2.0"
)
SETTINGS = ServiceSettings(
    version="1.2.0",
    home_free_bytes=180_000_000_000,
    settings=[
        SettingView(name="DATABASE_URL", value="postgresql://***@db/noisy", is_default=False),
        SettingView(name="RECONCILER__TICK_SECONDS", value=1.0, is_default=True),
    ],
)
AUDIT_ENTRY = AuditEntryView(
    id=17,
    at=_AT,
    subject="key-5f0c1b1e90ab",
    kind="key",
    address="10.0.3.7",
    request_id="4f1d2c3b5a697887",
    method="POST",
    path="/runs",
    status=201,
    location="/runs/run-3f9c2a71d0",
    project="pets",
)
