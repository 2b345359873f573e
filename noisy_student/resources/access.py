"""Keys, the audit log, projects with their quotas, the queue, and the service itself."""

from pydantic import Field

from noisy_student.operations import Arguments, Body, Resource, operation
from noisy_student.pages import listing
from noisy_student.transport import Way
from service.config.access import KeyRequest
from service.config.policies import Quota
from service.views.access import AuditEntryView, CallerView, CreatedKey, KeyView
from service.views.base import View
from service.views.health import Health, Readiness
from service.views.queue import ProjectView, QueueView


class Keys(Resource[Way]):
    """API keys."""

    @operation("POST", "/keys", CreatedKey, KeyRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Makes a key; the answer is the only place where it is shown."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @listing("/keys", KeyView)
    def list(self, limit: int | None = None) -> Arguments:
        """All keys, the newest first; never the keys themselves."""
        return Arguments(query={"limit": limit})

    @operation("DELETE", "/keys/{key_id}", KeyView)
    def revoke(self, key_id: str, *, with_made: bool | None = None) -> Arguments:
        """Refuses the key, and every login with it, from now on; with those that it has made where `with_made`."""
        return Arguments({"key_id": key_id}, {"with_made": None if with_made is None else str(with_made).lower()})


class Audit(Resource[Way]):
    """What was changed, by whom."""

    @listing("/audit", AuditEntryView)
    def list(self, limit: int | None = None) -> Arguments:
        """Every change that an authenticated caller asked for, the newest first."""
        return Arguments(query={"limit": limit})


class Projects(Resource[Way]):
    """Who may use how much of the cluster."""

    @listing("/projects", ProjectView)
    def list(self, limit: int | None = None) -> Arguments:
        """Projects by name, backwards, with their quotas and what they have spent."""
        return Arguments(query={"limit": limit})

    @operation("GET", "/projects/{name}", ProjectView)
    def get(self, name: str) -> Arguments:
        """Quota and spent device hours of one project."""
        return Arguments({"name": name})

    @operation("PUT", "/projects/{name}/quota", ProjectView, Quota)
    def set_quota(self, name: str, quota: Body) -> Arguments:
        """Sets how many device hours a project may spend: {"device_hours": 8}; None: without a limit."""
        return Arguments({"name": name}, body=quota)


class Queue(Resource[Way]):
    """The stages that wait."""

    @operation("GET", "/queue", QueueView)
    def get(self, limit: int | None = None) -> Arguments:
        """The first of the stages that wait, in the order in which they will start, and why."""
        return Arguments(query={"limit": limit})


class WebLink(View):
    """Where the web page opens as the caller."""

    path: str = Field(description="Below the API's address; good once, and for a quarter of an hour.")


class Service(Resource[Way]):
    """The service itself."""

    @operation("GET", "/me", CallerView)
    def me(self) -> Arguments:
        """Whom the key belongs to, and what it may do."""
        return Arguments()

    @operation("POST", "/ui/links", WebLink)
    def link(self, page: str = "/") -> Arguments:
        """Makes a path that logs a browser in, to that page: nobody has to see the key."""
        return Arguments(query={"next": page})

    @operation("GET", "/healthz", Health)
    def health(self) -> Arguments:
        """Answers as long as the process does."""
        return Arguments()

    @operation("GET", "/readyz", Readiness, welcome=(503,))
    def readiness(self) -> Arguments:
        """Whether the database and Ray's jobs API answer; `ready` is False where one does not."""
        return Arguments()
