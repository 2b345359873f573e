"""Builds the control plane from its settings: for the API's process, for the reconciler's, and for tests."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from service.access.audit import AuditLog
from service.access.gatekeeper import Gatekeeper
from service.access.key_commands import KeyCommands
from service.access.stream_places import StreamPlaces
from service.datasets.commands import DatasetCommands
from service.datasets.queries import DatasetQueries
from service.datasets.registration.inspector_pool import InspectorPool
from service.estimates.commands import EstimateCommands
from service.estimates.queries import EstimateQueries
from service.model_catalog import CatalogModel
from service.ray_client.jobs import TIMEOUT_SECONDS, RayJobs
from service.reconcile.job_closer import JobCloser
from service.reconcile.lease import DatabaseClock, database_clock
from service.reconcile.loop import Reconciler
from service.retention.collector import Collector
from service.retention.commands import RetentionCommands
from service.runs.commands import RunCommands
from service.runs.event_feed import EventFeed
from service.runs.lineage import LineageQueries
from service.runs.queries import RunQueries
from service.scheduling.projects import Projects
from service.scheduling.queue_places import SECONDS_BETWEEN_LOOKS, QueuePlaces
from service.settings import Settings
from service.store.database import Database
from service.studies.commands import StudyCommands
from service.studies.queries import StudyQueries
from service.webhooks.commands import WebhookCommands
from service.webhooks.deliverer import WebhookDeliverer


@dataclass(frozen=True)
class World:
    """What the control plane takes from around it beside its settings. Tests put their own in its place."""

    clock: Callable[[], float] = time.time
    """Gives Unix seconds."""
    monotonic: Callable[[], float] = time.monotonic
    """Gives seconds that never go back."""
    lease_clock: DatabaseClock = database_clock
    """What all reconcilers of one database take for the time."""
    catalog: Mapping[str, CatalogModel] | None = None
    """timm's models by name; None: the shipped catalogue."""
    queue_look_seconds: float = SECONDS_BETWEEN_LOOKS
    """For how long what was seen of the queue serves those who look."""


THE_WORLD = World()


@dataclass(frozen=True)
class Services:
    """The control plane as a process of the API holds it."""

    settings: Settings
    database: Database
    ray_jobs: RayJobs
    inspectors: InspectorPool
    places: QueuePlaces
    commands: RunCommands
    queries: RunQueries
    dataset_commands: DatasetCommands
    dataset_queries: DatasetQueries
    estimate_commands: EstimateCommands
    estimate_queries: EstimateQueries
    study_commands: StudyCommands
    study_queries: StudyQueries
    projects: Projects
    gatekeeper: Gatekeeper
    keys: KeyCommands
    audit: AuditLog
    lineage: LineageQueries
    retention: RetentionCommands
    webhooks: WebhookCommands
    event_feed: EventFeed
    stream_places: StreamPlaces

    def close(self) -> None:
        """Closes the connections to the database and to Ray, and ends the processes that look at datasets."""
        self.inspectors.close()
        self.ray_jobs.close()
        self.database.close()


def open_services(
    settings: Settings,
    *,
    database: Database | None = None,
    ray_jobs: RayJobs | None = None,
    inspectors: InspectorPool | None = None,
    world: World = THE_WORLD,
) -> Services:
    """Commands and queries on the settings' database and Ray head, or on those given; connects to neither yet."""
    database = database or Database(settings.database_url)
    ray_jobs = ray_jobs or open_ray_jobs(settings)
    inspectors = inspectors or InspectorPool(settings.inspector_limits, settings.registration_processes)
    clock, catalog = world.clock, world.catalog
    places = QueuePlaces(settings.max_concurrent_stages, clock, world.queue_look_seconds)
    return Services(
        settings=settings,
        database=database,
        ray_jobs=ray_jobs,
        inspectors=inspectors,
        places=places,
        commands=RunCommands(database, settings, places, clock, catalog),
        queries=RunQueries(database, settings, ray_jobs, places),
        dataset_commands=DatasetCommands(database, settings, inspectors, clock),
        dataset_queries=DatasetQueries(database),
        estimate_commands=EstimateCommands(database, settings, clock, catalog),
        estimate_queries=EstimateQueries(database, settings),
        study_commands=StudyCommands(database, settings, clock, catalog),
        study_queries=StudyQueries(database, settings),
        projects=Projects(database, settings, places, clock),
        gatekeeper=Gatekeeper(database, settings, clock, world.monotonic),
        keys=KeyCommands(database, clock),
        audit=AuditLog(database, clock),
        lineage=LineageQueries(database, settings),
        retention=RetentionCommands(database, settings, clock),
        webhooks=WebhookCommands(database, settings, clock),
        event_feed=EventFeed(database, settings.event_poll_seconds),
        stream_places=StreamPlaces(settings.max_event_streams, settings.max_event_streams_of_caller),
    )


@dataclass(frozen=True)
class Reconciling:
    """The control plane as a process of the reconciler holds it: the loop, and what works beside it."""

    database: Database
    ray_jobs: RayJobs
    patient_ray_jobs: RayJobs
    reconciler: Reconciler
    job_closer: JobCloser
    deliverer: WebhookDeliverer
    collector: Collector

    def close(self) -> None:
        """Closes the connections to the database and to Ray."""
        self.ray_jobs.close()
        self.patient_ray_jobs.close()
        self.database.close()


def open_reconciling(
    settings: Settings,
    *,
    database: Database | None = None,
    ray_jobs: RayJobs | None = None,
    world: World = THE_WORLD,
) -> Reconciling:
    """On the settings' database and Ray head, or on those given; connects to neither yet."""
    database = database or Database(settings.database_url)
    # Nobody waits for the job closer, and so it has time for long logs.
    patient_ray_jobs = ray_jobs or open_ray_jobs(settings)
    ray_jobs = ray_jobs or open_ray_jobs(settings, settings.outside_timeout_seconds)
    clock = world.clock
    return Reconciling(
        database=database,
        ray_jobs=ray_jobs,
        patient_ray_jobs=patient_ray_jobs,
        reconciler=Reconciler(database, settings, ray_jobs, clock, world.lease_clock, world.monotonic),
        job_closer=JobCloser(database, settings, patient_ray_jobs, clock),
        deliverer=WebhookDeliverer(database, settings, clock),
        collector=Collector(database, settings, clock),
    )


def open_ray_jobs(settings: Settings, timeout_seconds: float = TIMEOUT_SECONDS) -> RayJobs:
    """A client of the settings' Ray head, which waits so long for each answer."""
    token = settings.ray_auth_token
    return RayJobs(
        settings.ray_jobs_url, token.get_secret_value() if token else None, timeout_seconds, is_own=settings.ray_is_own
    )
