"""The reconciler's loop: for every active run, look, decide, act, until there is nothing to do but wait."""

import logging
import threading
from collections.abc import Callable

from service.actions import Action, FinishStage
from service.artifact_layout import ArtifactLayout
from service.decide import decide
from service.errors import RayUnavailable
from service.ray_jobs import RayJobs
from service.reconcile.admission import Admission
from service.reconcile.apply import Applier
from service.reconcile.lease import LeaseBook
from service.reconcile.observe import Observer
from service.settings import Settings
from service.snapshots import JobStatus
from service.store.database import Database
from service.store.leases import LeaseLost
from service.store.run_store import active_run_ids, load_snapshot
from service.store.transitions import TransitionRefused

logger = logging.getLogger("service.reconcile")

MAX_ROUNDS = 20
"""Rounds of one run in one tick, far more than any run has to do: the other runs get their turn whatever happens."""


class Reconciler:
    """Several may work on one database: each run is looked after by whoever holds its lease."""

    def __init__(self, database: Database, settings: Settings, ray_jobs: RayJobs, clock: Callable[[], float]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._leases = LeaseBook(database, settings.lease_seconds, clock)
        self._observer = Observer(ArtifactLayout(settings.artifact_root), ray_jobs)
        self._admission = Admission(database, settings.max_concurrent_stages, clock)
        self._applier = Applier(database, settings, ray_jobs, self._leases, clock)
        self._troubles: dict[str, str] = {}

    def run_until(self, stop: threading.Event) -> None:
        """Ticks until `stop` is set, then gives its leases back."""
        while not stop.is_set():
            try:
                self.tick()
            except Exception:
                # The database may be away for a while; the reconciler outlives it.
                logger.exception("the tick failed; trying again")
            stop.wait(self._settings.tick_seconds)
        self._leases.release_all()

    def tick(self) -> None:
        """Looks once at every active run. What goes wrong with one run does not keep the others waiting."""
        self._admission.begin_tick()
        with self._database.read() as session:
            run_ids = active_run_ids(session)
        for run_id in run_ids:
            try:
                self._reconcile(run_id)
                self._trouble_over(run_id)
            except (LeaseLost, TransitionRefused) as error:
                logger.info("%s: dropped, it has changed since it was read: %s", run_id, error)
            except RayUnavailable as error:
                self._trouble(run_id, str(error))
            except Exception:
                logger.exception("%s: reconciling failed; trying again at the next tick", run_id)

    def _reconcile(self, run_id: str) -> None:
        for _ in range(MAX_ROUNDS):
            token = self._leases.hold(run_id)
            if token is None:
                return
            actions = self._decide(run_id)
            for action in actions:
                logger.info("%s: %s", run_id, _describe(action))
                self._applier.apply(run_id, token, action)
            if not actions:
                return

    def _decide(self, run_id: str) -> list[Action]:
        with self._database.read() as session:
            snapshot = load_snapshot(session, run_id)
        observed = self._observer.observe(snapshot)
        may_start = self._admission.may_start(run_id, snapshot.current_stage)
        actions = decide(snapshot, observed, self._clock(), self._settings.max_attempts, may_start)
        if not actions and observed.job is JobStatus.UNAVAILABLE and observed.job_message:
            raise RayUnavailable(observed.job_message)
        return actions

    def _trouble(self, run_id: str, message: str) -> None:
        """Logs an outage once, not at every tick."""
        if self._troubles.get(run_id) != message:
            logger.warning("%s: waiting, %s", run_id, message)
        self._troubles[run_id] = message

    def _trouble_over(self, run_id: str) -> None:
        if self._troubles.pop(run_id, None) is not None:
            logger.info("%s: going on, Ray answers again", run_id)


def _describe(action: Action) -> str:
    if isinstance(action, FinishStage):
        return f"FinishStage(generation={action.generation}, stage='{action.stage}', attempt={action.attempt})"
    return str(action)
