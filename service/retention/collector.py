"""Deletes the artifacts that retention has marked, in a thread of the reconciler's process and at a slow pace."""

import logging
import threading
from collections.abc import Callable
from functools import partial

from service.access.audit import AuditLog
from service.artifacts.layout import ArtifactLayout
from service.background import repeat
from service.config.events import EventKind
from service.config.policies import Artifact
from service.config.settings.groups import AccessSettings, RetentionSettings
from service.config.stage_key import StageKey
from service.retention.commands import RetentionCommands
from service.retention.files import collect_files
from service.retention.store import claim, marked_rows, renew_claim, set_collected
from service.stages.order import stage_name
from service.store.database import Database
from service.store.idempotency import ANSWERS_KEPT_SECONDS, forget_answers
from service.store.run_store import add_event
from service.store.schema.tables import CollectionRow

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 2.0
_CLAIM_SECONDS = 600.0
_ROWS_AT_ONCE = 100


class ClaimLost(Exception):
    """Another process now collects the artifact."""


class Collector:
    """Marks artifacts and collects them. Several processes may do so at once; each artifact is claimed by one of them.

    A collection has four steps: mark the artifact in the database, list its files in a file, delete them, record the
    collection. A process that dies in between leaves behind what the next one needs to continue. `clock` returns Unix
    seconds.
    """

    def __init__(
        self,
        database: Database,
        layout: ArtifactLayout,
        retention: RetentionSettings,
        access: AccessSettings,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._layout = layout
        self._retention = RetentionCommands(database, layout, retention.policy, clock)
        self._audit = AuditLog(database, clock)
        self._interval_seconds = retention.interval_seconds
        self._access = access
        self._clock = clock
        self._mark_at = 0.0

    def run_until(self, stop: threading.Event) -> None:
        """Marks and collects until `stop` is set. It finishes the artifact that it is collecting at that moment."""
        repeat(partial(self.tick, stop), "retention", stop, _PAUSE_SECONDS)

    def tick(self, stop: threading.Event | None = None) -> None:
        """If it is time to look again, marks what may go in the next runs that are due. Then collects what is marked.

        A tick looks at a limited number of runs: to look at a hundred thousand at once, after an update, would take a
        core for minutes.
        """
        now = self._clock()
        if now >= self._mark_at and self._retention.mark_next(now) is None:
            self._mark_at = now + self._interval_seconds
            with self._database.write() as session:
                forget_answers(session, now - ANSWERS_KEPT_SECONDS)
            self._audit.forget(self._access.audit_days, self._access.audit_refused_days)
        with self._database.read() as session:
            rows = marked_rows(session, now, _ROWS_AT_ONCE)
        for row in rows:
            if stop is not None and stop.is_set():
                return
            try:
                self._collect(row)
            except ClaimLost:
                continue
            except Exception:
                # The claim expires, and a later tick tries again.
                logger.exception("%s of %s cannot be collected", row.artifact, row.run_id)

    def _collect(self, row: CollectionRow) -> None:
        held_until = self._claim(row)

        def still_ours() -> None:
            nonlocal held_until
            until = self._clock() + _CLAIM_SECONDS
            if until - held_until < _CLAIM_SECONDS / 2:
                return  # the claim is fresh, so no other process can have taken it
            with self._database.write() as session:
                if not renew_claim(session, row, held_until, until):
                    raise ClaimLost
            held_until = until

        stage, artifact = stage_name(row.stage), Artifact(row.artifact)
        key = StageKey(row.run_id, row.generation, stage)
        gone = collect_files(
            self._layout.stage_folder(key),
            self._layout.inventory(key, artifact),
            artifact,
            row.keep_last,
            still_ours,
        )
        with self._database.write() as session:
            now = self._clock()
            if not set_collected(session, row, held_until, now, len(gone.files), gone.bytes, gone.digest):
                raise ClaimLost
            if gone.files:
                message = f"{artifact}: {len(gone.files)} file(s), {gone.bytes} bytes"
                add_event(session, row.run_id, now, EventKind.ARTIFACTS_COLLECTED, message, row.generation, stage)

    def _claim(self, row: CollectionRow) -> float:
        now = self._clock()
        with self._database.write() as session:
            if not claim(session, row, now, now + _CLAIM_SECONDS):
                raise ClaimLost
        return now + _CLAIM_SECONDS
