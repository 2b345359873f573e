"""The dependencies of routes: the service's commands and queries, and the parameters that many routes share."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Path, Query, Request

from service.access.audit import AuditLog
from service.access.gatekeeper import Gatekeeper
from service.access.key_commands import KeyCommands
from service.access.principal import Principal
from service.access.stream_places import StreamPlaces
from service.config.settings.groups import PlacementSettings, RaySettings, RegistrationSettings
from service.datasets.commands import DatasetCommands
from service.datasets.queries import DatasetQueries
from service.estimates.commands import EstimateCommands
from service.estimates.queries import EstimateQueries
from service.exports.archive import ModelArchives
from service.exports.labels import LabelExports
from service.exports.marks import MarkExports
from service.imported_models.commands import RegistrationCommands
from service.imported_models.queries import RegistrationQueries
from service.predictions.commands import PredictionCommands
from service.predictions.downloads import PredictionDownloads
from service.predictions.queries import PredictionQueries
from service.ray_client.jobs import RayJobs
from service.retention.commands import RetentionCommands
from service.review.labels import LabelQueries
from service.review.marks import MarkCommands
from service.review.pictures import PictureQueries
from service.runs.commands import RunCommands
from service.runs.event_feed import EventFeed
from service.runs.lineage import LineageQueries
from service.runs.queries import RunQueries
from service.scheduling.projects import Projects
from service.settings import Settings
from service.studies.commands import StudyCommands
from service.studies.queries import StudyQueries
from service.webhooks.commands import WebhookCommands
from service.wiring import Services

T = TypeVar("T")


def services_of(request: Request) -> Services:
    """The services of the application that received the request."""
    services: Services = request.app.state.services
    return services


def _part(of: Callable[[Services], T]) -> Callable[[Request], Awaitable[T]]:
    """A dependency that passes one part of the services to a route."""

    # Async, so that FastAPI calls it directly; it would run a plain function in a thread each time.
    async def part(request: Request) -> T:
        return of(services_of(request))

    return part


async def _caller(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


Commands = Annotated[RunCommands, Depends(_part(lambda services: services.commands))]
Queries = Annotated[RunQueries, Depends(_part(lambda services: services.queries))]
DatasetCommandsOf = Annotated[DatasetCommands, Depends(_part(lambda services: services.dataset_commands))]
DatasetQueriesOf = Annotated[DatasetQueries, Depends(_part(lambda services: services.dataset_queries))]
EstimateCommandsOf = Annotated[EstimateCommands, Depends(_part(lambda services: services.estimate_commands))]
EstimateQueriesOf = Annotated[EstimateQueries, Depends(_part(lambda services: services.estimate_queries))]
PredictionCommandsOf = Annotated[PredictionCommands, Depends(_part(lambda services: services.prediction_commands))]
PredictionQueriesOf = Annotated[PredictionQueries, Depends(_part(lambda services: services.prediction_queries))]
PredictionDownloadsOf = Annotated[PredictionDownloads, Depends(_part(lambda services: services.prediction_downloads))]
StudyCommandsOf = Annotated[StudyCommands, Depends(_part(lambda services: services.study_commands))]
StudyQueriesOf = Annotated[StudyQueries, Depends(_part(lambda services: services.study_queries))]
RegistrationCommandsOf = Annotated[
    RegistrationCommands, Depends(_part(lambda services: services.registration_commands))
]
RegistrationQueriesOf = Annotated[RegistrationQueries, Depends(_part(lambda services: services.registration_queries))]
ProjectsOf = Annotated[Projects, Depends(_part(lambda services: services.projects))]
LineageOf = Annotated[LineageQueries, Depends(_part(lambda services: services.lineage))]
Archives = Annotated[ModelArchives, Depends(_part(lambda services: services.archives))]
Labels = Annotated[LabelQueries, Depends(_part(lambda services: services.labels))]
Marks = Annotated[MarkCommands, Depends(_part(lambda services: services.marks))]
Pictures = Annotated[PictureQueries, Depends(_part(lambda services: services.pictures))]
MarkExportsOf = Annotated[MarkExports, Depends(_part(lambda services: services.mark_exports))]
LabelExportsOf = Annotated[LabelExports, Depends(_part(lambda services: services.label_exports))]
Retention = Annotated[RetentionCommands, Depends(_part(lambda services: services.retention))]
Webhooks = Annotated[WebhookCommands, Depends(_part(lambda services: services.webhooks))]
Places = Annotated[StreamPlaces, Depends(_part(lambda services: services.stream_places))]
Feed = Annotated[EventFeed, Depends(_part(lambda services: services.event_feed))]
Jobs = Annotated[RayJobs, Depends(_part(lambda services: services.ray_jobs))]
Keys = Annotated[KeyCommands, Depends(_part(lambda services: services.keys))]
GatekeeperOf = Annotated[Gatekeeper, Depends(_part(lambda services: services.gatekeeper))]
Audit = Annotated[AuditLog, Depends(_part(lambda services: services.audit))]
SettingsOf = Annotated[Settings, Depends(_part(lambda services: services.settings))]
RaySettingsOf = Annotated[RaySettings, Depends(_part(lambda services: services.settings.ray))]
RegistrationSettingsOf = Annotated[
    RegistrationSettings, Depends(_part(lambda services: services.settings.registration))
]
PlacementSettingsOf = Annotated[PlacementSettings, Depends(_part(lambda services: services.settings.placement))]
Caller = Annotated[Principal, Depends(_caller)]

_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_LARGEST_NUMBER = 1_000_000

RunId = Annotated[str, Path(pattern=_ID, max_length=100, description="The run's id.", examples=["run-3f9c2a71d0"])]
OfRun = Annotated[
    str | None, Query(pattern=_ID, max_length=100, description="Only items of this run.", examples=["run-3f9c2a71d0"])
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
PredictionId = Annotated[
    str, Path(pattern=_ID, max_length=100, description="The prediction's id.", examples=["prediction-91c4e07b2d"])
]
PlanId = Annotated[str, Path(pattern=_ID, max_length=100, description="The plan's id.", examples=["plan-c2870fe1b9"])]
RegistrationId = Annotated[
    str, Path(pattern=_ID, max_length=100, description="The registration's id.", examples=["model-5e0cb1a2f7"])
]
WebhookId = Annotated[
    str, Path(pattern=_ID, max_length=100, description="The webhook's id.", examples=["hook-0f6be13a92"])
]
GenerationNumber = Annotated[
    int, Path(ge=0, le=_LARGEST_NUMBER, description="Generation 0 trains the teacher.", examples=[1])
]
AttemptNumber = Annotated[int, Path(ge=1, le=_LARGEST_NUMBER, description="Attempts count from 1.", examples=[1])]
Limit = Annotated[int, Query(ge=1, le=100, description="Items per page.", examples=[50])]
Cursor = Annotated[
    str | None,
    Query(
        max_length=500, description="`next_cursor` of the previous page.", examples=["WzE3NjM5MzQ2NjUuMCwgInJ1bi0zZiJd"]
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
