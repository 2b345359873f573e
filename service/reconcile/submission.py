"""Submits an attempt: freezes its inputs in a spec, writes the spec, then asks Ray for the job."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from opentelemetry.trace import SpanKind

from service.artifacts.layout import ArtifactLayout
from service.artifacts.timed_calls import ArtifactCalls
from service.config.settings.groups import DriverPlace
from service.config.stage_key import StageKey
from service.ray_client.job_metadata import job_metadata
from service.ray_client.jobs import RayJobs
from service.reconcile.lease import ReconcilerLease
from service.review.selection_inputs import SelectionInputs
from service.store.database import Database
from service.store.dataset_store import load_reusable_labels
from service.store.run_rows import load_origin
from service.store.run_store import load_spec_inputs
from workers.artifact_io import write_bytes
from workers.specs.stages import AnyStageSpec, StageName
from workers.specs.telemetry import Telemetry
from workers.specs.tracking import Tracking
from workers.telemetry.traces import current_traceparent, span


class Submitter:
    """Submits attempts. What their logs and traces say of the run's origin is added to `telemetry`, its name to
    `tracking`."""

    def __init__(
        self,
        database: Database,
        layout: ArtifactLayout,
        python_executable: str,
        build_spec: Callable[..., AnyStageSpec],
        driver_of: Callable[[StageName], DriverPlace],
        telemetry: Telemetry,
        tracking: Tracking,
        ray_jobs: RayJobs,
        lease: ReconcilerLease,
        artifact_calls: ArtifactCalls,
    ) -> None:
        self._database = database
        self._layout = layout
        self._python_executable = python_executable
        self._build_spec = build_spec
        self._driver_of = driver_of
        self._telemetry = telemetry
        self._tracking = tracking
        self._ray_jobs = ray_jobs
        self._lease = lease
        self._artifact_calls = artifact_calls
        self._selection_inputs = SelectionInputs(database, layout, artifact_calls)

    def submit(self, key: StageKey, attempt: int) -> None:
        """Submits the attempt. Raises JobRejected, RayUnavailable, ArtifactStoreUnavailable or LeaseLost."""
        with self._database.read() as session:
            origin = load_origin(session, key.run_id)
        attributes: dict[str, str | int | None] = {
            "noisy_student.run": key.run_id,
            "noisy_student.generation": key.generation,
            "noisy_student.stage": key.stage,
            "noisy_student.attempt": attempt,
            "noisy_student.request_id": origin.request_id,
        }
        with span(f"submit {key.stage}", origin.traceparent, attributes, SpanKind.PRODUCER):
            self._submit(key, attempt)

    def _submit(self, key: StageKey, attempt: int) -> None:
        spec = self._selection_inputs.completed(self.spec_of(key, attempt), key)
        spec_uri = self._layout.spec(key, attempt)
        # A process that slept through its lease notices it here. One that sleeps below does no harm when it wakes up:
        # the spec is this attempt's alone, Ray refuses an id that it knows, and the stage sees that its time is over.
        self._lease.renew()
        self._artifact_calls.one(spec_uri, partial(write_bytes, spec_uri, spec.model_dump_json().encode()))
        metadata, driver = job_metadata(key, attempt), self._driver_of(key.stage)
        self._ray_jobs.submit(key.submission_id(attempt), self._python_executable, spec_uri, metadata, driver)

    def spec_of(self, key: StageKey, attempt: int) -> AnyStageSpec:
        """The spec of the attempt, from what the database holds now."""
        with self._database.read() as session:
            inputs, origin = load_spec_inputs(session, key.run_id), load_origin(session, key.run_id)
            if key.stage == "label" and inputs.imported(key.generation) is None:
                inputs = replace(
                    inputs, reusable_labels=load_reusable_labels(session, inputs, key.generation, self._layout)
                )
        spec = self._build_spec(inputs, generation=key.generation, stage=key.stage, attempt=attempt)
        of_run = {"request_id": origin.request_id, "traceparent": current_traceparent()}
        telemetry = self._telemetry.model_copy(update=of_run)
        tracking = self._tracking.model_copy(update={"run_name": origin.name})
        return spec.model_copy(update={"telemetry": telemetry, "tracking": tracking})
