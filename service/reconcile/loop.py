"""The reconciler's loop: for all active runs it observes, decides and acts until there is nothing to do but wait."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from service.artifacts.layout import ArtifactLayout
from service.artifacts.timed_calls import ArtifactCalls
from service.background import repeat
from service.config.settings.groups import PlacementSettings, RaySettings, ReconcilerSettings
from service.dataset_roots import RootsByProject
from service.errors import ArtifactStoreUnavailable, DatabaseUnavailable, RayDoesNotAnswer, RayUnavailable
from service.lifecycle.actions import Action, FinishStage, StopJob, SubmitAttempt
from service.lifecycle.decide import decide
from service.lifecycle.snapshots import RunSnapshot
from service.lifecycle.states import RunState
from service.metrics.reconciler_figures import ReconcilerFigures
from service.ray_client.jobs import RayJobs
from service.reconcile.apply import Applier
from service.reconcile.job_statuses import JobStatuses
from service.reconcile.lease import DatabaseClock, LeaseLost, ReconcilerLease, check_fence, database_clock
from service.reconcile.observe import Observer, RunObservation
from service.reconcile.stage_files import files_of
from service.reconcile.submission import Submitter
from service.reconcile.waits import WaitReason, Waits
from service.scheduling.admission import Admission
from service.stages.spec_builder import build_stage_spec
from service.store.database import Database
from service.store.run_store import add_event
from service.store.snapshot_store import KnownRules, load_active_runs
from service.store.transitions import TransitionRefused
from workers.specs.internals import LibraryInternals
from workers.specs.telemetry import Telemetry
from workers.specs.tracking import Tracking
from workers.telemetry.logs import log_context

logger = logging.getLogger("service.reconcile")

MAX_ROUNDS = 20
"""The rounds of one tick at most. No run needs nearly as many; the limit gives new runs their turn in any case."""
_NEEDS_RAY = (SubmitAttempt, StopJob)


class Reconciler:
    """The reconciler. Several processes may share one database; only the one that holds the lease works.

    `clock` returns Unix seconds; `monotonic` returns seconds that never go back.
    """

    def __init__(
        self,
        database: Database,
        layout: ArtifactLayout,
        settings: ReconcilerSettings,
        ray: RaySettings,
        roots: RootsByProject,
        internals: LibraryInternals,
        placement: PlacementSettings,
        telemetry: Telemetry,
        tracking: Tracking,
        ray_jobs: RayJobs,
        figures: ReconcilerFigures,
        clock: Callable[[], float],
        lease_clock: DatabaseClock = database_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._figures = figures
        self._clock = clock
        self._lease = ReconcilerLease(database, settings.lease_seconds, lease_clock)
        self._artifact_calls = ArtifactCalls(settings.outside_timeout_seconds)
        self._observer = Observer(files_of(layout, self._artifact_calls), JobStatuses(ray_jobs, monotonic))
        self._admission = Admission(database, settings.max_concurrent_stages, clock)
        build_spec = partial(build_stage_spec, layout=layout, roots=roots, internals=internals, placement=placement)
        submitter = Submitter(
            database,
            layout,
            ray.python_executable,
            build_spec,
            placement.driver_of,
            telemetry,
            tracking,
            ray_jobs,
            self._lease,
            self._artifact_calls,
        )
        self._applier = Applier(database, layout, submitter, ray_jobs, self._artifact_calls, clock)
        self._waits = Waits(clock)
        self._known_rules = KnownRules()

    def run_until(self, stop: threading.Event) -> None:
        """Ticks until `stop` is set, then releases the lease."""
        repeat(self.tick, "reconciling", stop, self._settings.tick_seconds)
        self._artifact_calls.close()
        try:
            self._lease.release()
        except DatabaseUnavailable as error:
            logger.warning("the lease could not be given back: %s", error)

    def tick(self) -> None:
        """Makes one pass over all active runs, if this process holds the lease.

        An error in one run does not hold up the others. Raises DatabaseUnavailable.
        """
        with self._figures.tick():
            token = self._lease.hold()
            if token is None:
                self._waits = Waits(self._clock)  # the process that reconciles records its own waits
                self._figures.stood_by(self._waits.counts())
                return
            try:
                self._tick(token)
            except LeaseLost as error:
                logger.info("dropped what there was to do: %s", error)
                self._lease.forget()
                self._figures.stood_by(Waits(self._clock).counts())

    def _tick(self, token: int) -> None:
        self._admission.begin_tick()
        with self._database.read() as session:
            runs = load_active_runs(session, self._known_rules)
        refused = self._known_rules.refused
        for run_id, why in refused.items():
            self._waits.begin(run_id, WaitReason.FAULT, why[:2000])
        active = {run.run_id for run in runs} | refused.keys()
        self._known_rules.forget_all_but(active)
        self._waits.forget_all_but(active)
        self._observer.forget_all_but(runs)
        self._figures.forget_all_but(active)
        for _ in range(MAX_ROUNDS):
            acted = self._round(runs, token)
            if not acted:
                break
            with self._database.read() as session:
                runs = load_active_runs(session, self._known_rules, acted)
        self._figures.reconciled(self._waits.counts())
        self._tell(token)

    def _round(self, runs: Sequence[RunSnapshot], token: int) -> list[str]:
        """Carries out the next actions of each run. Returns the ids of the runs that had any."""
        looks = self._observer.observe(runs)
        self._figures.saw(runs, {run_id: look.observed for run_id, look in looks.items()})
        acted: list[str] = []
        silence: RayDoesNotAnswer | None = None
        # Runs that wait for something come last, so that they do not hold up the others.
        for run in sorted(runs, key=lambda run: run.run_id in self._waits):
            self._lease.hold_on()
            with log_context(**_log_fields(run)):
                try:
                    if self._act(run, looks[run.run_id], token, silence):
                        acted.append(run.run_id)
                except (LeaseLost, DatabaseUnavailable):
                    raise
                except TransitionRefused as error:
                    logger.info("%s: dropped, it has changed since it was read: %s", run.run_id, error)
                except RayUnavailable as error:
                    silence = error if isinstance(error, RayDoesNotAnswer) else silence
                    self._waits.begin(run.run_id, WaitReason.RAY, str(error))
                except ArtifactStoreUnavailable as error:
                    self._waits.begin(run.run_id, WaitReason.ARTIFACT_STORE, str(error))
                except Exception as error:
                    if self._waits.begin(run.run_id, WaitReason.FAULT, f"{type(error).__name__}: {error}"[:2000]):
                        logger.exception("%s: reconciling failed; it is tried again at each tick", run.run_id)
        return acted

    def _act(self, run: RunSnapshot, look: RunObservation, token: int, silence: RayDoesNotAnswer | None) -> bool:
        """Decides and acts for one run. Returns whether there was anything to do.

        If `silence` is given, Ray did not answer a moment ago, and this raises it instead of asking again.
        """
        # The queue contains running runs only and would be read again for any other. Those start nothing anyway.
        may_start = run.state is not RunState.RUNNING or self._admission.may_start(run.run_id, run.current_stage)
        actions = decide(
            run,
            look.observed,
            self._clock(),
            self._settings.max_attempts,
            may_start,
            self._settings.schedule_timeout_seconds,
        )
        for action in actions:
            if silence is not None and isinstance(action, _NEEDS_RAY):
                raise silence
            self._applier.apply(run.run_id, token, action)
            # Logged only after success: a full disk or a silent Ray makes each tick try again.
            logger.info("%s: %s", run.run_id, _describe(action))
        if not actions and look.hindrance is not None:
            self._waits.begin(run.run_id, *look.hindrance)
        else:
            self._waits.end(run.run_id)
        return bool(actions)

    def _tell(self, token: int) -> None:
        """Records in the runs' histories what they wait for, and which waits are over."""
        events = self._waits.untold
        if not events:
            return
        now = self._clock()
        with self._database.write() as session:
            check_fence(session, token)
            for event in events:
                add_event(session, event.run_id, now, event.kind, event.message)
        self._waits.forget_told()


def _log_fields(run: RunSnapshot) -> dict[str, str | int | None]:
    stage = run.current_stage
    if stage is None:
        return {"run": run.run_id, "request_id": run.request_id}
    return {
        "run": run.run_id,
        "request_id": run.request_id,
        "generation": stage.generation,
        "stage": stage.name,
        "attempt": stage.attempts[-1].number if stage.attempts else None,
    }


def _describe(action: Action) -> str:
    if isinstance(action, FinishStage):
        return f"FinishStage(generation={action.generation}, stage='{action.stage}', attempt={action.attempt})"
    return str(action)
