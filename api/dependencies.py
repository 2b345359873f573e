"""What routes take: the service's commands and queries, and the parameters that many of them share."""

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request

from service.access.audit import AuditLog
from service.access.gatekeeper import Gatekeeper
from service.access.key_commands import KeyCommands
from service.access.principal import Principal
from service.access.stream_places import StreamPlaces
from service.datasets.commands import DatasetCommands
from service.datasets.queries import DatasetQueries
from service.datasets.registration.inspector_pool import InspectorPool
from service.ray_client.jobs import RayJobs
from service.retention.commands import RetentionCommands
from service.runs.commands import RunCommands
from service.runs.event_feed import EventFeed
from service.runs.lineage import LineageQueries
from service.runs.queries import RunQueries
from service.scheduling.projects import Projects
from service.scheduling.queue_places import QueuePlaces
from service.settings import Settings
from service.store.database import Database
from service.studies.commands import DerivedCommands
from service.studies.queries import DerivedQueries
from service.webhooks.commands import WebhookCommands


@dataclass(frozen=True)
class Services:
    """The control plane as one process holds it."""

    settings: Settings
    database: Database
    ray_jobs: RayJobs
    commands: RunCommands
    queries: RunQueries
    dataset_commands: DatasetCommands
    dataset_queries: DatasetQueries
    derived_commands: DerivedCommands
    derived_queries: DerivedQueries
    projects: Projects
    gatekeeper: Gatekeeper
    keys: KeyCommands
    audit: AuditLog
    lineage: LineageQueries
    retention: RetentionCommands
    webhooks: WebhookCommands
    event_feed: EventFeed
    inspectors: InspectorPool
    stream_places: StreamPlaces

    def close(self) -> None:
        """Closes the connections to the database and to Ray, and ends the processes that look at datasets."""
        self.inspectors.close()
        self.ray_jobs.close()
        self.database.close()


def open_services(
    settings: Settings, ray_jobs: RayJobs | None = None, inspectors: InspectorPool | None = None
) -> Services:
    """Commands and queries on the settings' database and Ray head (or the one given); connects to neither yet."""
    database = Database(settings.database_url)
    token = settings.ray_auth_token
    ray_jobs = ray_jobs or RayJobs(
        settings.ray_jobs_url, token.get_secret_value() if token else None, is_own=settings.ray_is_own
    )
    inspectors = inspectors or InspectorPool(settings.inspector_limits, settings.registration_processes)
    places = QueuePlaces(settings.max_concurrent_stages, time.time)
    return Services(
        settings=settings,
        database=database,
        ray_jobs=ray_jobs,
        commands=RunCommands(database, settings, places),
        queries=RunQueries(database, settings, ray_jobs, places),
        dataset_commands=DatasetCommands(database, settings, inspectors),
        dataset_queries=DatasetQueries(database),
        derived_commands=DerivedCommands(database, settings),
        derived_queries=DerivedQueries(database, settings),
        projects=Projects(database, settings, places),
        gatekeeper=Gatekeeper(database, settings),
        keys=KeyCommands(database),
        audit=AuditLog(database),
        lineage=LineageQueries(database, settings),
        retention=RetentionCommands(database, settings),
        webhooks=WebhookCommands(database, settings),
        event_feed=EventFeed(database, settings.event_poll_seconds),
        stream_places=StreamPlaces(settings.max_event_streams, settings.max_event_streams_of_caller),
        inspectors=inspectors,
    )


# Async, so that FastAPI calls them in place: a plain function would cost a trip to a thread each.
async def _commands(request: Request) -> RunCommands:
    commands: RunCommands = request.app.state.services.commands
    return commands


async def _queries(request: Request) -> RunQueries:
    queries: RunQueries = request.app.state.services.queries
    return queries


async def _dataset_commands(request: Request) -> DatasetCommands:
    commands: DatasetCommands = request.app.state.services.dataset_commands
    return commands


async def _dataset_queries(request: Request) -> DatasetQueries:
    queries: DatasetQueries = request.app.state.services.dataset_queries
    return queries


async def _derived_commands(request: Request) -> DerivedCommands:
    commands: DerivedCommands = request.app.state.services.derived_commands
    return commands


async def _derived_queries(request: Request) -> DerivedQueries:
    queries: DerivedQueries = request.app.state.services.derived_queries
    return queries


async def _projects(request: Request) -> Projects:
    projects: Projects = request.app.state.services.projects
    return projects


async def _lineage(request: Request) -> LineageQueries:
    lineage: LineageQueries = request.app.state.services.lineage
    return lineage


async def _retention(request: Request) -> RetentionCommands:
    retention: RetentionCommands = request.app.state.services.retention
    return retention


async def _webhooks(request: Request) -> WebhookCommands:
    webhooks: WebhookCommands = request.app.state.services.webhooks
    return webhooks


async def _event_feed(request: Request) -> EventFeed:
    feed: EventFeed = request.app.state.services.event_feed
    return feed


async def _stream_places(request: Request) -> StreamPlaces:
    places: StreamPlaces = request.app.state.services.stream_places
    return places


async def _ray_jobs(request: Request) -> RayJobs:
    ray_jobs: RayJobs = request.app.state.services.ray_jobs
    return ray_jobs


async def _keys(request: Request) -> KeyCommands:
    keys: KeyCommands = request.app.state.services.keys
    return keys


async def _gatekeeper(request: Request) -> Gatekeeper:
    gatekeeper: Gatekeeper = request.app.state.services.gatekeeper
    return gatekeeper


async def _audit(request: Request) -> AuditLog:
    audit: AuditLog = request.app.state.services.audit
    return audit


async def _caller(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.services.settings
    return settings


Commands = Annotated[RunCommands, Depends(_commands)]
Queries = Annotated[RunQueries, Depends(_queries)]
DatasetCommandsOf = Annotated[DatasetCommands, Depends(_dataset_commands)]
DatasetQueriesOf = Annotated[DatasetQueries, Depends(_dataset_queries)]
DerivedCommandsOf = Annotated[DerivedCommands, Depends(_derived_commands)]
DerivedQueriesOf = Annotated[DerivedQueries, Depends(_derived_queries)]
ProjectsOf = Annotated[Projects, Depends(_projects)]
LineageOf = Annotated[LineageQueries, Depends(_lineage)]
Retention = Annotated[RetentionCommands, Depends(_retention)]
Webhooks = Annotated[WebhookCommands, Depends(_webhooks)]
Places = Annotated[StreamPlaces, Depends(_stream_places)]
Feed = Annotated[EventFeed, Depends(_event_feed)]
Jobs = Annotated[RayJobs, Depends(_ray_jobs)]
Keys = Annotated[KeyCommands, Depends(_keys)]
GatekeeperOf = Annotated[Gatekeeper, Depends(_gatekeeper)]
Audit = Annotated[AuditLog, Depends(_audit)]
SettingsOf = Annotated[Settings, Depends(_settings)]
Caller = Annotated[Principal, Depends(_caller)]

_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_LARGEST_NUMBER = 1_000_000

RunId = Annotated[str, Path(pattern=_ID, max_length=100, description="The run's id.", examples=["run-3f9c2a71d0"])]
OfRun = Annotated[
    str | None, Query(pattern=_ID, max_length=100, description="Only this run's.", examples=["run-3f9c2a71d0"])
]
DatasetId = Annotated[
    str, Path(pattern=_ID, max_length=100, description="The dataset's id.", examples=["ds-8a41c0de55"])
]
ModelId = Annotated[
    str, Path(pattern=_ID, max_length=100, description="The model's id.", examples=["run-3f9c2a71d0-g3"])
]
SearchId = Annotated[
    str, Path(pattern=_ID, max_length=100, description="The search's id.", examples=["search-5d20c1e7a4"])
]
AblationId = Annotated[
    str, Path(pattern=_ID, max_length=100, description="The ablation's id.", examples=["ablation-77b1f09c3e"])
]
PlanId = Annotated[str, Path(pattern=_ID, max_length=100, description="The plan's id.", examples=["plan-c2870fe1b9"])]
WebhookId = Annotated[
    str, Path(pattern=_ID, max_length=100, description="The webhook's id.", examples=["hook-0f6be13a92"])
]
GenerationNumber = Annotated[
    int, Path(ge=0, le=_LARGEST_NUMBER, description="0 is the teacher's generation.", examples=[1])
]
AttemptNumber = Annotated[int, Path(ge=1, le=_LARGEST_NUMBER, description="Attempts count from 1.", examples=[1])]
Limit = Annotated[int, Query(ge=1, le=100, description="Items a page.", examples=[50])]
Cursor = Annotated[
    str | None,
    Query(
        max_length=500, description="`next_cursor` of the page before.", examples=["WzE3NjM5MzQ2NjUuMCwgInJ1bi0zZiJd"]
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="Any text of 1 to 200 printable ASCII characters. The same request with the same key is carried "
        "out once and answered alike; another request with it is a conflict.",
        examples=["5f0c1b1e-demo-run"],
    ),
]
