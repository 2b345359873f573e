"""Where runs stand in the queue, for those who look at them."""

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
    """What was seen of the queue, and when."""

    at: float
    queue: Queue | None


class QueuePlaces:
    """Thread-safe. With a thousand stages under way reading the queue takes ten milliseconds and more: what was seen
    serves all who look within `seconds`, and those who look while one thread looks anew. `clock` gives Unix seconds.

    Not for sessions that have written: what they see may never come to be. The reconciler obeys the queue as it is,
    and not what is kept here.
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
        """Taken with a connection in hand: who waits for it holds one already, and the last may not be missing."""
        self._lock = threading.Lock()
        """Of what was seen; never held while the database is asked."""
        self._last: _ReadQueue | None = None
        self._limits_changed = 0

    def queue(self, session: Session) -> Queue | None:
        """The queue as it was a moment ago; None where nothing limits anybody."""
        return self._look(session).queue

    def forget(self) -> None:
        """What limits the queue has changed: whoever looks next looks anew."""
        with self._lock:
            self._last = None
            self._limits_changed += 1

    def of(self, session: Session, runs: Iterable[RunRow]) -> dict[str, QueuePlace]:
        """Where those of the runs that have to wait stand, by id."""
        under_way = {run.id: run.created_at for run in runs if run.state == RunState.RUNNING}
        if not under_way:
            return {}
        look = self._look(session)
        if look.queue is not None and _is_new(under_way.keys() - look.queue.claims.keys(), under_way, look):
            look = self._look_anew(session, self._clock())  # it has a place all the same
        queue = look.queue
        return (
            {} if queue is None else {run: _view(queue.places[run]) for run in under_way.keys() & queue.places.keys()}
        )

    def fill_run(self, session: Session, run: RunView) -> RunView:
        """The run with its place in the queue: as the run is in this view where that is newer than the last look."""
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
        if 0 <= self._clock() - last.at < self._seconds:  # the clock may have been set back
            return last
        session.connection()
        if not self._looking.acquire(blocking=False):
            return last
        try:
            return self._read(session)
        finally:
            self._looking.release()

    def _look_anew(self, session: Session, asked_at: float) -> _ReadQueue:
        """What another thread has seen meanwhile serves as well."""
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
    """Whether one of the runs was created since."""
    return any(created_at[run] >= look.at for run in run_ids)


def _is_news(claim: Claim, queue: Queue, seen_at: float) -> bool:
    """Whether the look may not have seen it yet: an answer that is given once more is as old as the first one."""
    known = queue.claims.get(claim.run_id)
    return claim.ready_at >= (seen_at if known is None else known.ready_at)


def _claim(run: RunView) -> Claim | None:
    """What the store would say of the run: the current stage, if it is ready and not on the cluster."""
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
