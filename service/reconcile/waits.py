"""Records in a run's history when it begins to wait for something outside of it, and when the wait is over."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from service.config.events import EventKind

logger = logging.getLogger("service.reconcile")

QUIET_SECONDS = 60.0
"""A wait that returns within this time is not recorded again, so that a flickering fault does not fill the history."""


class WaitReason(StrEnum):
    """Why a run waits: the kind of the event that reports it."""

    RAY = EventKind.RAY_UNAVAILABLE
    ARTIFACT_STORE = EventKind.ARTIFACT_STORE_UNAVAILABLE
    FAULT = EventKind.RECONCILE_FAILED
    """A fault of the service itself; its log contains the traceback."""


OVER = {
    WaitReason.RAY: EventKind.RAY_AVAILABLE,
    WaitReason.ARTIFACT_STORE: EventKind.ARTIFACT_STORE_AVAILABLE,
    WaitReason.FAULT: EventKind.RECONCILE_WENT_ON,
}


@dataclass(frozen=True)
class WaitEvent:
    """An event for a run's history."""

    run_id: str
    kind: EventKind
    message: str


@dataclass(frozen=True)
class _Wait:
    reason: WaitReason
    since: float
    told: bool


class Waits:
    """The current waits of all runs, in memory. A reconciler that takes over records those that still hold again.

    `clock` returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waits: dict[str, _Wait] = {}
        self._told_at: dict[tuple[str, WaitReason], float] = {}
        self._events: list[WaitEvent] = []

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._waits

    def counts(self) -> dict[str, int]:
        """How many runs wait, by reason; also those that none waits for."""
        reasons = [wait.reason for wait in self._waits.values()]
        return {reason.value: reasons.count(reason) for reason in WaitReason}

    def begin(self, run_id: str, reason: WaitReason, message: str) -> bool:
        """Notes that the run waits for this reason. Returns whether that is new."""
        wait = self._waits.get(run_id)
        if wait is not None and wait.reason is reason:
            return False
        self.end(run_id)
        now = self._clock()
        told = now - self._told_at.get((run_id, reason), float("-inf")) >= QUIET_SECONDS
        self._waits[run_id] = _Wait(reason, now, told)
        if told:
            logger.warning("%s: waiting, %s", run_id, message)
            self._told_at[run_id, reason] = now
            self._events.append(WaitEvent(run_id, EventKind(reason), message))
        return True

    def end(self, run_id: str) -> None:
        """Notes that the run waits no longer."""
        wait = self._waits.pop(run_id, None)
        if wait is not None and wait.told:
            seconds = self._clock() - wait.since
            logger.info("%s: %s after %.0f s", run_id, OVER[wait.reason], seconds)
            self._events.append(WaitEvent(run_id, OVER[wait.reason], f"after {seconds:.0f} s"))

    def forget_all_but(self, run_ids: Collection[str]) -> None:
        """Forgets all other runs: they are over."""
        gone = {*self._waits, *(run_id for run_id, _ in self._told_at)} - set(run_ids)
        self._waits = {run_id: wait for run_id, wait in self._waits.items() if run_id not in gone}
        self._told_at = {key: at for key, at in self._told_at.items() if key[0] not in gone}

    @property
    def untold(self) -> tuple[WaitEvent, ...]:
        """The events since the last call of `forget_told`."""
        return tuple(self._events)

    def forget_told(self) -> None:
        """Forgets the events, which are now recorded."""
        self._events = []
