"""Builds the control plane from its settings, for the API's process, the reconciler's process, and tests."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy.orm import Session

from service.access.audit import AuditLog
from service.access.gatekeeper import Gatekeeper
from service.access.key_commands import KeyCommands
from service.access.stream_places import StreamPlaces
from service.artifacts.layout import ArtifactLayout
from service.config.settings.groups import RaySettings
from service.datasets.commands import DatasetCommands
from service.datasets.queries import DatasetQueries
from service.datasets.registration.inspector_pool import InspectorPool
from service.estimates.commands import EstimateCommands
from service.estimates.queries import EstimateQueries
from service.exports.archive import ModelArchives
from service.exports.labels import LabelExports
from service.exports.marks import MarkExports
from service.imported_models.commands import RegistrationCommands
from service.imported_models.queries import RegistrationQueries
from service.metrics.availability import AvailabilityProbe
from service.metrics.database_collector import DatabaseCollector, lease_alone, whole_service
from service.metrics.database_figures import LeaseFigures, read_lease
from service.metrics.exposition import new_registry
from service.metrics.reconciler_figures import ReconcilerFigures
from service.metrics.requests import RequestFigures
from service.model_catalog import CatalogModel
from service.predictions.commands import PredictionCommands
from service.predictions.downloads import PredictionDownloads
from service.predictions.queries import PredictionQueries
from service.ray_client.jobs import TIMEOUT_SECONDS, RayJobs
from service.reconcile.job_closer import JobCloser
from service.reconcile.lease import GRANTED_SHARE, DatabaseClock, database_clock
from service.reconcile.loop import Reconciler
from service.retention.collector import Collector
from service.retention.commands import RetentionCommands
from service.review.labels import LabelQueries
from service.review.marks import MarkCommands
from service.review.pictures import PictureQueries
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
from service.webhooks.secret_box import SecretBox


@dataclass(frozen=True)
class World:
    """What the control plane takes from its surroundings in addition to its settings. Tests replace it."""

    clock: Callable[[], float] = time.time
    """Returns Unix seconds."""
    monotonic: Callable[[], float] = time.monotonic
    """Returns seconds that never go back."""
    lease_clock: DatabaseClock = database_clock
    """The clock that all reconcilers of one database share."""
    catalog: Mapping[str, CatalogModel] | None = None
    """timm's models by name; None for the shipped catalogue."""
    queue_look_seconds: float = SECONDS_BETWEEN_LOOKS
    """How long a queue that was read serves views."""


THE_WORLD = World()


@dataclass(frozen=True)
class Services:
    """The parts of the control plane in an API process."""

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
    prediction_commands: PredictionCommands
    prediction_queries: PredictionQueries
    prediction_downloads: PredictionDownloads
    study_commands: StudyCommands
    study_queries: StudyQueries
    registration_commands: RegistrationCommands
    registration_queries: RegistrationQueries
    projects: Projects
    gatekeeper: Gatekeeper
    keys: KeyCommands
    audit: AuditLog
    lineage: LineageQueries
    archives: ModelArchives
    labels: LabelQueries
    marks: MarkCommands
    pictures: PictureQueries
    label_exports: LabelExports
    mark_exports: MarkExports
    retention: RetentionCommands
    webhooks: WebhookCommands
    event_feed: EventFeed
    stream_places: StreamPlaces
    metrics: CollectorRegistry
    request_figures: RequestFigures

    def close(self) -> None:
        """Closes the connections to the database and to Ray, and ends the processes that inspect datasets."""
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
    """Returns commands and queries on the settings' database and Ray head, or on those given.

    It connects to neither yet.
    """
    database = database or Database(settings.database_url)
    ray_jobs = ray_jobs or open_ray_jobs(settings.ray)
    inspectors = inspectors or InspectorPool(settings.registration.limits, settings.registration.processes)
    layout, secret_box = ArtifactLayout(settings.artifact_root), SecretBox(Path(settings.secret_keys_file))
    clock, catalog, roots = world.clock, world.catalog, settings.roots_by_project
    metrics = new_registry("api")
    look = whole_service(clock, _lease_look(settings, world))
    metrics.register(DatabaseCollector(database, look, settings.metrics.cache_seconds, world.monotonic))
    lineage = LineageQueries(database, layout)
    predictions = PredictionQueries(database, layout)
    places = QueuePlaces(settings.reconciler.max_concurrent_stages, clock, world.queue_look_seconds)
    return Services(
        settings=settings,
        database=database,
        ray_jobs=ray_jobs,
        inspectors=inspectors,
        places=places,
        commands=RunCommands(database, layout, roots, settings.ray, places, inspectors, clock, catalog),
        queries=RunQueries(database, layout, settings.ray, ray_jobs, places),
        dataset_commands=DatasetCommands(database, layout, roots, inspectors, clock),
        dataset_queries=DatasetQueries(database),
        estimate_commands=EstimateCommands(database, layout, roots, settings.reconciler, inspectors, clock, catalog),
        estimate_queries=EstimateQueries(database, settings.reconciler),
        prediction_commands=PredictionCommands(database, layout, clock),
        prediction_queries=predictions,
        prediction_downloads=PredictionDownloads(predictions),
        study_commands=StudyCommands(database, layout, roots, clock, catalog),
        study_queries=StudyQueries(database, layout),
        registration_commands=RegistrationCommands(database, roots, clock, catalog),
        registration_queries=RegistrationQueries(database),
        projects=Projects(database, settings.reconciler, places, clock),
        gatekeeper=Gatekeeper(database, settings.access, settings.oidc, clock, world.monotonic),
        keys=KeyCommands(database, clock),
        audit=AuditLog(database, clock),
        lineage=lineage,
        archives=ModelArchives(database, lineage),
        labels=LabelQueries(database, layout),
        marks=MarkCommands(database, layout, clock),
        pictures=PictureQueries(database, layout, roots, inspectors),
        label_exports=LabelExports(database, layout),
        mark_exports=MarkExports(database, layout, roots, inspectors),
        retention=RetentionCommands(database, layout, settings.retention.policy, clock),
        webhooks=WebhookCommands(database, settings.webhooks, secret_box, clock),
        event_feed=EventFeed(database, settings.events.poll_seconds),
        stream_places=StreamPlaces(settings.events.max_streams, settings.events.max_streams_of_caller),
        metrics=metrics,
        request_figures=RequestFigures(metrics),
    )


@dataclass(frozen=True)
class Reconciling:
    """The parts of the control plane in a reconciler process: the loop, and the loops next to it."""

    database: Database
    ray_jobs: RayJobs
    patient_ray_jobs: RayJobs
    reconciler: Reconciler
    job_closer: JobCloser
    deliverer: WebhookDeliverer
    collector: Collector
    metrics: CollectorRegistry
    availability: AvailabilityProbe

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
    """Returns the reconciler on the settings' database and Ray head, or on those given. It connects to neither yet."""
    database = database or Database(settings.database_url)
    # Nothing waits for the job closer, so it has time for long logs.
    patient_ray_jobs = ray_jobs or open_ray_jobs(settings.ray)
    ray_jobs = ray_jobs or open_ray_jobs(settings.ray, settings.reconciler.outside_timeout_seconds)
    layout, clock = ArtifactLayout(settings.artifact_root), world.clock
    metrics = new_registry("reconciler")
    look = lease_alone(_lease_look(settings, world))
    metrics.register(DatabaseCollector(database, look, settings.metrics.cache_seconds, world.monotonic))
    return Reconciling(
        database=database,
        ray_jobs=ray_jobs,
        patient_ray_jobs=patient_ray_jobs,
        reconciler=Reconciler(
            database,
            layout,
            settings.reconciler,
            settings.ray,
            settings.roots_by_project,
            settings.internals,
            settings.placement,
            settings.telemetry,
            settings.tracking.of_stages,
            ray_jobs,
            ReconcilerFigures(metrics, clock),
            clock,
            world.lease_clock,
            world.monotonic,
        ),
        job_closer=JobCloser(database, layout, settings.ray, patient_ray_jobs, clock),
        deliverer=WebhookDeliverer(database, settings.webhooks, SecretBox(Path(settings.secret_keys_file)), clock),
        collector=Collector(database, layout, settings.retention, settings.access, clock),
        metrics=metrics,
        availability=AvailabilityProbe(metrics, layout, ray_jobs, settings.reconciler.outside_timeout_seconds),
    )


def _lease_look(settings: Settings, world: World) -> Callable[[Session], LeaseFigures]:
    granted_seconds = settings.reconciler.lease_seconds * GRANTED_SHARE
    return partial(read_lease, lease_clock=world.lease_clock, granted_seconds=granted_seconds)


def open_ray_jobs(ray: RaySettings, timeout_seconds: float = TIMEOUT_SECONDS) -> RayJobs:
    """Returns a client for the settings' Ray head that waits up to `timeout_seconds` for each answer."""
    token = None if ray.auth_token is None else ray.auth_token.get_secret_value()
    return RayJobs(ray.jobs_url, token, timeout_seconds, is_own=ray.is_own)
