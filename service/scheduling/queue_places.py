"""Finds the places of runs in the queue, for the views that users see."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from service.lifecycle.states import OPEN_ATTEMPTS, UNFINISHED_STAGES, RunState
from service.scheduling.queue import Claim, QueuePosition
from service.scheduling.queue_reader import Queue, read_queue
from service.store.schema.tables import RunRow
from service.views.queue import QueuePlace
from service.views.runs import RunView

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class _ReadQueue:
    """The queue as read at `at`, in Unix seconds; `queue` is None if nothing limits the stages."""

    at: float
    queue: Queue | None


class QueuePlaces:
    """A short-lived cache of the queue. Thread-safe. `clock` returns Unix seconds.

    With a thousand stages in progress, reading the queue takes ten milliseconds or more. A cached queue therefore
    serves all requests for `seconds`, and also those that arrive while one thread reads the queue again.

    Do not pass a session that has written: the cache would keep uncommitted state. The reconciler reads the queue
    itself and does not use this cache.
    """

    def __init__(
        self,
        max_concurrent_stages: int | None,
        clock: Callable[[], float],
        seconds: float = SECONDS_BETWEEN_LOOKS,
    ) -> None:
        self._max_concurrent_stages = max_concurrent_stages
        self._clock = clock
        self._seconds = seconds
        self._looking = threading.Lock()
        """Held while the queue is read. A thread takes it only once it holds a connection: otherwise the holder might
        need the last connection while the threads that wait for the lock hold all of them."""
        self._lock = threading.Lock()
        """Guards `_last` and `_limits_changed`. Never held during a query."""
        self._last: _ReadQueue | None = None
        self._limits_changed = 0

    def queue(self, session: Session) -> Queue | None:
        """Returns the queue, at most about a second old, or None if nothing limits the stages."""
        return self._look(session).queue

    def forget(self) -> None:
        """Drops the cached queue because a limit has changed, so that the next caller reads it again."""
        with self._lock:
            self._last = None
            self._limits_changed += 1

    def of(self, session: Session, runs: Iterable[RunRow]) -> dict[str, QueuePlace]:
        """Returns the queue places of the runs that have to wait, by run id."""
        under_way = {run.id: run.created_at for run in runs if run.state == RunState.RUNNING}
        if not under_way:
            return {}
        look = self._look(session)
        if look.queue is not None and _is_new(under_way.keys() - look.queue.claims.keys(), under_way, look):
            look = self._look_anew(session, self._clock())  # the new run may have a place too
        queue = look.queue
        return (
            {} if queue is None else {run: _view(queue.places[run]) for run in under_way.keys() & queue.places.keys()}
        )

    def fill_run(self, session: Session, run: RunView) -> RunView:
        """Returns the run with its place in the queue. If this view is newer than the cached queue, the view counts."""
        claim = _claim(run)
        if claim is None:
            return run.model_copy(update={"queue": None})
        look = self._look(session)
        if look.queue is not None and _is_news(claim, look.queue, look.at):
            newer = replace(look, queue=look.queue.with_claim(claim))
            with self._lock:
                if self._last is look:
                    self._last = newer
            look = newer
        place = None if look.queue is None else look.queue.places.get(run.id)
        return run.model_copy(update={"queue": None if place is None else _view(place)})

    def _look(self, session: Session) -> _ReadQueue:
        with self._lock:
            last = self._last
        if last is None:
            return self._look_anew(session, self._clock())
        if 0 <= self._clock() - last.at < self._seconds:  # below 0 if the clock was set back
            return last
        session.connection()
        if not self._looking.acquire(blocking=False):
            return last
        try:
            return self._read(session)
        finally:
            self._looking.release()

    def _look_anew(self, session: Session, asked_at: float) -> _ReadQueue:
        """Reads the queue, unless another thread has read it since `asked_at`, in Unix seconds."""
        session.connection()
        with self._looking:
            with self._lock:
                last = self._last
            return last if last is not None and last.at > asked_at else self._read(session)

    def _read(self, session: Session) -> _ReadQueue:
        now, limits_changed = self._clock(), self._limits_changed
        look = _ReadQueue(now, read_queue(session, self._max_concurrent_stages, now))
        with self._lock:
            if self._limits_changed == limits_changed:
                self._last = look
        return look


def _is_new(run_ids: Collection[str], created_at: Mapping[str, float], look: _ReadQueue) -> bool:
    """Whether one of the runs was created after `look`."""
    return any(created_at[run] >= look.at for run in run_ids)


def _is_news(claim: Claim, queue: Queue, seen_at: float) -> bool:
    """Whether the queue read at `seen_at` may not contain the claim yet.

    A claim can also be older than the queue: a repeated request gets its first answer, which may be old.
    """
    known = queue.claims.get(claim.run_id)
    return claim.ready_at >= (seen_at if known is None else known.ready_at)


def _claim(run: RunView) -> Claim | None:
    """Returns the claim that the database would give: the run's current stage, if ready and not on the cluster."""
    if run.state != RunState.RUNNING:
        return None
    for generation in run.generation_details:
        for stage in generation.stages:
            if stage.ready_at is not None and stage.state in UNFINISHED_STAGES:
                if any(attempt.state in OPEN_ATTEMPTS for attempt in stage.attempts):
                    return None
                return Claim(
                    run_id=run.id,
                    run_name=run.name,
                    project=run.project,
                    priority=run.priority,
                    generation=stage.generation,
                    stage=stage.name,
                    ready_at=stage.ready_at.timestamp(),
                )
    return None


def _view(place: QueuePosition) -> QueuePlace:
    return QueuePlace(position=place.position, reason=place.reason)
