"""Tells the reconciler which stages may start. Reads the queue once per tick, and again for stages ready since then."""

from collections.abc import Callable

from service.lifecycle.snapshots import StageSnapshot
from service.scheduling.queue_reader import read_queue
from service.store.database import Database
from workers.specs.stages import StageName

Stage = tuple[str, int, StageName]


class Admission:
    """The queue's answer for one tick of the reconciler. `clock` returns Unix seconds."""

    def __init__(self, database: Database, max_concurrent_stages: int | None, clock: Callable[[], float]) -> None:
        self._database = database
        self._max_concurrent_stages = max_concurrent_stages
        self._clock = clock
        self._may_start: dict[Stage, bool] | None = {}
        """Whether each ready stage may start. None if nothing limits the stages, so that all of them may."""

    def begin_tick(self) -> None:
        """Reads the queue from the database."""
        with self._database.read() as session:
            queue = read_queue(session, self._max_concurrent_stages, self._clock())
        if queue is None:
            self._may_start = None
            return
        self._may_start = {
            (claim.run_id, claim.generation, claim.stage): claim.run_id not in queue.places
            for claim in queue.claims.values()
        }

    def may_start(self, run_id: str, stage: StageSnapshot | None) -> bool:
        """Whether the run's current stage may start an attempt. True if the stage has an open attempt."""
        if self._may_start is None or stage is None or stage.open_attempt is not None:
            return True
        key = (run_id, stage.generation, stage.name)
        if key not in self._may_start:
            self.begin_tick()
        return self._may_start is None or self._may_start.get(key, False)
