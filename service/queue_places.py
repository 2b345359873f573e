"""Where runs stand in the queue, for those who look at them."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy.orm import Session

from service.queue_book import Queue, read_queue
from service.states import RunState
from service.store.tables import RunRow
from service.views import QueuePlace, RunView

SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class _Look:
    """What was seen of the queue, and when."""

    at: float
    queue: Queue | None

    @cached_property
    def run_ids(self) -> frozenset[str]:
        return frozenset(claim.run_id for claim in self.queue.claims) if self.queue is not None else frozenset()

    @cached_property
    def places(self) -> Mapping[str, QueuePlace]:
        return {
            place.claim.run_id: QueuePlace(position=place.position, reason=place.reason)
            for place in (self.queue.places if self.queue is not None else ())
        }


class QueuePlaces:
    """Thread-safe. With a thousand stages under way reading the queue takes ten milliseconds: what was seen serves all
    who look within `seconds`, and one thread looks at a time. `clock` gives Unix seconds.

    The reconciler obeys the queue as it is, and not what is kept here.
    """

    def __init__(self, max_concurrent_stages: int | None, clock: Callable[[], float], seconds: float) -> None:
        self._max_concurrent_stages = max_concurrent_stages
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._last: _Look | None = None

    def of(self, session: Session, runs: Iterable[RunRow | RunView]) -> dict[str, QueuePlace]:
        """Where those of the runs that have to wait stand, by id. Not for sessions that have written: what they see
        may never come to be."""
        under_way = {run.id for run in runs if run.state == RunState.RUNNING}
        if not under_way:
            return {}
        places = self._look(session, under_way).places
        return {run_id: places[run_id] for run_id in under_way & places.keys()}

    def fill_run(self, session: Session, run: RunView) -> RunView:
        """The run with its place in the queue."""
        return run.model_copy(update={"queue": self.of(session, [run]).get(run.id)})

    def _look(self, session: Session, run_ids: set[str]) -> _Look:
        with self._lock:
            now = self._clock()
            last = self._last
            if last is None or now - last.at >= self._seconds or not _knows(last, run_ids):
                last = self._last = _Look(now, read_queue(session, self._max_concurrent_stages, now))
            return last


def _knows(look: _Look, run_ids: set[str]) -> bool:
    """Whether runs that are under way were so then: one that was created since has a place all the same."""
    return look.queue is None or run_ids <= look.run_ids
