"""The API's answers about keys, callers and the audit log."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.config.access import Scope
from service.views.base import View


class KeyView(View):
    id: str
    name: str
    scope: Scope
    project: str | None = Field(description="What it is limited to; null: every project.")
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


class CreatedKey(KeyView):
    key: str = Field(description="The key itself: shown this once, and stored as a hash only.")


class CallerView(View):
    """The caller that a request's credential belongs to."""

    subject: str
    kind: Literal["key", "session", "oidc", "local"]
    scope: Scope
    projects: list[str] | None = Field(description="What it sees and changes; null: every project.")


class AuditEntryView(View):
    id: int
    at: datetime
    subject: str = Field(description="The key's id, `oidc:` and the token's subject, `local`, or `cli:` and a user.")
    kind: str = Field(description="How the caller was authenticated: key, session, oidc, local or cli.")
    address: str = Field(description="The network address that the request came from.")
    request_id: str = Field(description="The answer's X-Request-ID.")
    method: str
    path: str
    status: int | None = Field(description="The answer's status; null where the service died before it had one.")
    location: str | None = Field(description="What was made, as a path.")
    project: str | None = Field(
        description="The project that the caller is limited to; null: none, several, or one that you may not see."
    )
    target_project: str | None = Field(
        default=None,
        description="The project of what was to be changed; null: of none, of several, or of one that you may not see.",
    )
