"""The clients: one that waits for each answer, and one for asyncio. Both carry out the same operations."""

from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self

from noisy_student.connection import connection_to
from noisy_student.transport import AsyncTransport, SyncTransport, Way

if TYPE_CHECKING:
    from noisy_student.resources.access import Audit, Keys, Projects, Queue, Service
    from noisy_student.resources.data import Datasets, Models, Retention
    from noisy_student.resources.events import Events, Webhooks
    from noisy_student.resources.runs import Runs
    from noisy_student.resources.stages import Generations, Stages
    from noisy_student.resources.studies import Ablations, Plans, Searches

PARTS = {
    "ablations": "studies.Ablations",
    "audit": "access.Audit",
    "datasets": "data.Datasets",
    "events": "events.Events",
    "generations": "stages.Generations",
    "keys": "access.Keys",
    "models": "data.Models",
    "plans": "studies.Plans",
    "projects": "access.Projects",
    "queue": "access.Queue",
    "retention": "data.Retention",
    "runs": "runs.Runs",
    "searches": "studies.Searches",
    "service": "access.Service",
    "stages": "stages.Stages",
    "webhooks": "events.Webhooks",
}
"""Where each part of the API is described. It is imported when it is first asked for: the models of all of them take
longer to build than everything else."""


class _Api(Generic[Way]):
    """The parts of the API, as attributes."""

    ablations: "Ablations[Way]"
    audit: "Audit[Way]"
    datasets: "Datasets[Way]"
    events: "Events[Way]"
    generations: "Generations[Way]"
    keys: "Keys[Way]"
    models: "Models[Way]"
    plans: "Plans[Way]"
    projects: "Projects[Way]"
    queue: "Queue[Way]"
    retention: "Retention[Way]"
    runs: "Runs[Way]"
    searches: "Searches[Way]"
    service: "Service[Way]"
    stages: "Stages[Way]"
    webhooks: "Webhooks[Way]"
    _way: Way

    def __init__(self, way: Way) -> None:
        self._way = way
        self.api = way.connection.api

    if not TYPE_CHECKING:  # a type checker would take every name for one

        def __getattr__(self, name: str) -> Any:
            if name not in PARTS:
                raise AttributeError(f"{type(self).__name__} has no {name}; it has {', '.join(PARTS)}")
            module, kind = PARTS[name].split(".")
            part = getattr(import_module(f"noisy_student.resources.{module}"), kind)(self._way)
            setattr(self, name, part)
            return part

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *PARTS]


class Client(_Api[SyncTransport]):
    """One API. What is not given is taken from the environment:

    `api`: its address, NOISY_STUDENT_API, else http://127.0.0.1:8000. `key`: NOISY_STUDENT_API_KEY. `ca_file`: PEM of
    the certificates that the server's is checked with, NOISY_STUDENT_API_CA_FILE, else those of this machine.
    `client_certificate` and `client_key`: PEM files where the server asks for them,
    NOISY_STUDENT_API_CLIENT_CERTIFICATE and NOISY_STUDENT_API_CLIENT_KEY. `timeout_seconds`: for one answer;
    registering a dataset reads every row of it. `retries`: of requests that may be sent twice, where nothing answers or
    the service asks to come back.

    Every call raises ApiError, see noisy_student.errors. Not thread-safe.
    """

    def __init__(
        self,
        api: str | None = None,
        key: str | None = None,
        *,
        ca_file: str | Path | None = None,
        client_certificate: str | Path | None = None,
        client_key: str | Path | None = None,
        timeout_seconds: float = 600.0,
        retries: int = 2,
    ) -> None:
        connection = connection_to(api, key, ca_file, client_certificate, client_key, timeout_seconds, retries)
        super().__init__(SyncTransport(connection))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._way.close()


class AsyncClient(_Api[AsyncTransport]):
    """The same for asyncio: calls are awaited, listings and streams iterated over with `async for`."""

    def __init__(
        self,
        api: str | None = None,
        key: str | None = None,
        *,
        ca_file: str | Path | None = None,
        client_certificate: str | Path | None = None,
        client_key: str | Path | None = None,
        timeout_seconds: float = 600.0,
        retries: int = 2,
    ) -> None:
        connection = connection_to(api, key, ca_file, client_certificate, client_key, timeout_seconds, retries)
        super().__init__(AsyncTransport(connection))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes its connections."""
        await self._way.close()
