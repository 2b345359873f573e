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
    project: str | None = Field(description="The project that the key is limited to; null: all projects.")
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


class CreatedKey(KeyView):
    key: str = Field(description="The key itself. It is shown only once; the service stores a hash.")


class CallerView(View):
    """The caller that a request's credential belongs to."""

    subject: str
    kind: Literal["key", "session", "oidc", "local"]
    scope: Scope
    projects: list[str] | None = Field(description="Projects that the caller can see and change; null: all.")
    service_version: str = Field(default="", description="The version of the service that answers.")


class AuditEntryView(View):
    id: int
    at: datetime
    subject: str = Field(description="The key's id, `oidc:` and the token's subject, `local`, or `cli:` and a user.")
    kind: str = Field(description="How the caller was authenticated: key, session, oidc, local or cli.")
    address: str = Field(description="The network address that the request came from.")
    request_id: str = Field(description="The response's X-Request-ID.")
    method: str
    path: str
    status: int | None = Field(description="The response's status; null if the service died before it sent one.")
    location: str | None = Field(description="The path of the created resource.")
    project: str | None = Field(
        description="The project that the caller is limited to; null: none, several, or one that you may not see."
    )
    target_project: str | None = Field(
        default=None,
        description="The project of the changed resource; null: none, several, or one that you may not see.",
    )
