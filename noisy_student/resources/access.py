"""Keys, the audit log, projects with their quotas, the queue, and the service itself."""

from pydantic import Field

from noisy_student.operations import Arguments, Body, Resource, operation
from noisy_student.pages import listing
from noisy_student.transport import Way
from service.config.access import KeyRequest
from service.config.policies import Quota
from service.views.access import AuditEntryView, CallerView, CreatedKey, KeyView
from service.views.base import View
from service.views.health import Health, Readiness, ServiceSettings
from service.views.queue import ProjectView, QueueView


class Keys(Resource[Way]):
    """API keys."""

    @operation("POST", "/keys", CreatedKey, KeyRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Creates a key. Only this response shows its secret."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @listing("/keys", KeyView)
    def list(self, limit: int | None = None) -> Arguments:
        """Lists all keys, newest first, without their secrets."""
        return Arguments(query={"limit": limit})

    @operation("DELETE", "/keys/{key_id}", KeyView)
    def revoke(self, key_id: str, *, with_made: bool | None = None) -> Arguments:
        """Revokes the key and every login with it. `with_made` also revokes the keys that it created."""
        return Arguments({"key_id": key_id}, {"with_made": None if with_made is None else str(with_made).lower()})


class Audit(Resource[Way]):
    """The audit log: what was changed, and by whom."""

    @listing("/audit", AuditEntryView)
    def list(self, limit: int | None = None) -> Arguments:
        """Lists every change that an authenticated caller requested, newest first."""
        return Arguments(query={"limit": limit})


class Projects(Resource[Way]):
    """Projects, with how much of the cluster each may use."""

    @listing("/projects", ProjectView)
    def list(self, limit: int | None = None) -> Arguments:
        """Lists projects by name, in reverse order, with their quotas and what they have spent."""
        return Arguments(query={"limit": limit})

    @operation("GET", "/projects/{name}", ProjectView)
    def get(self, name: str) -> Arguments:
        """Returns a project's quota and spent device hours."""
        return Arguments({"name": name})

    @operation("PUT", "/projects/{name}/quota", ProjectView, Quota)
    def set_quota(self, name: str, quota: Body) -> Arguments:
        """Sets how many device hours a project may spend, as {"device_hours": 8}; None removes the limit."""
        return Arguments({"name": name}, body=quota)


class Queue(Resource[Way]):
    """The queue of stages that wait."""

    @operation("GET", "/queue", QueueView)
    def get(self, limit: int | None = None) -> Arguments:
        """Returns the first waiting stages in the order in which they will start, with why each waits."""
        return Arguments(query={"limit": limit})


class WebLink(View):
    """A link that opens the web page, logged in as the caller."""

    path: str = Field(description="Below the API's address; good once, and for a quarter of an hour.")


class Service(Resource[Way]):
    """The service itself."""

    @operation("GET", "/me", CallerView)
    def me(self) -> Arguments:
        """Returns the key's owner and what the key permits."""
        return Arguments()

    @operation("POST", "/ui/links", WebLink)
    def link(self, page: str = "/") -> Arguments:
        """Creates a path that logs a browser in and opens `page`, so that nobody has to see the key."""
        return Arguments(query={"next": page})

    @operation("GET", "/healthz", Health)
    def health(self) -> Arguments:
        """Responds as long as the API's process is alive."""
        return Arguments()

    @operation("GET", "/settings", ServiceSettings)
    def settings(self) -> Arguments:
        """Returns the settings that the service runs with, without secrets."""
        return Arguments()

    @operation("GET", "/readyz", Readiness, welcome=(503,))
    def readiness(self) -> Arguments:
        """Returns whether the database and Ray's jobs API respond. `ready` is False if one does not."""
        return Arguments()
