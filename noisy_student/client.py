"""The sync client and the asyncio client. Both carry out the same operations."""

from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self

from noisy_student.connection import connection_to
from noisy_student.transport import AsyncTransport, SyncTransport, Way

if TYPE_CHECKING:
    from noisy_student.resources.access import Audit, Keys, Projects, Queue, Service
    from noisy_student.resources.data import Datasets, Models, PresetList, Retention
    from noisy_student.resources.events import Events, Webhooks
    from noisy_student.resources.labels import Labels
    from noisy_student.resources.predictions import Predictions
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
    "labels": "labels.Labels",
    "models": "data.Models",
    "plans": "studies.Plans",
    "predictions": "predictions.Predictions",
    "presets": "data.PresetList",
    "projects": "access.Projects",
    "queue": "access.Queue",
    "retention": "data.Retention",
    "runs": "runs.Runs",
    "searches": "studies.Searches",
    "service": "access.Service",
    "stages": "stages.Stages",
    "webhooks": "events.Webhooks",
}
"""The module of each part of the API. It is imported at first use: building the models of all parts would take longer
than everything else."""


class _Api(Generic[Way]):
    """Has the parts of the API as attributes."""

    ablations: "Ablations[Way]"
    audit: "Audit[Way]"
    datasets: "Datasets[Way]"
    events: "Events[Way]"
    generations: "Generations[Way]"
    keys: "Keys[Way]"
    labels: "Labels[Way]"
    models: "Models[Way]"
    plans: "Plans[Way]"
    predictions: "Predictions[Way]"
    presets: "PresetList[Way]"
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

    if not TYPE_CHECKING:  # otherwise a type checker would accept any name

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
    """A client that waits for each response. Arguments that are not given come from the environment, and what that does
    not set, from a profile that `noisy-student login` has kept: `profile`, NOISY_STUDENT_PROFILE, or the current one.

    `api` is the address, by default NOISY_STUDENT_API, else http://127.0.0.1:8000. `key` is the API key, by default
    NOISY_STUDENT_API_KEY. `ca_file` is a PEM file of certificates to verify the server with, by default
    NOISY_STUDENT_API_CA_FILE, else this machine's certificates. `client_certificate` and `client_key` are PEM files for
    servers that ask for them, by default NOISY_STUDENT_API_CLIENT_CERTIFICATE and NOISY_STUDENT_API_CLIENT_KEY.
    `timeout_seconds` limits the wait for one response; registering a dataset reads every row of it. `retries` limits
    how often a request that is safe to repeat is sent again if nothing responds or the service asks to retry later.

    Every call raises ApiError on failure: see noisy_student.errors. A client is not thread-safe.
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
        profile: str | None = None,
    ) -> None:
        connection = connection_to(api, key, ca_file, client_certificate, client_key, timeout_seconds, retries, profile)
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
    """Like `Client`, but for asyncio: await calls, and iterate over listings and streams with `async for`."""

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
        profile: str | None = None,
    ) -> None:
        connection = connection_to(api, key, ca_file, client_certificate, client_key, timeout_seconds, retries, profile)
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
