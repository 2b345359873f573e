"""Maps each final state of a run or an attempt to the event that reports it."""

from service.config.events import EventKind
from service.lifecycle.states import AttemptState, RunState

ATTEMPT_ENDED = {
    AttemptState.FAILED: EventKind.ATTEMPT_FAILED,
    AttemptState.PAUSED: EventKind.ATTEMPT_PAUSED,
    AttemptState.CANCELLED: EventKind.ATTEMPT_CANCELLED,
}
RUN_ENDED = {
    RunState.SUCCEEDED: EventKind.RUN_SUCCEEDED,
    RunState.FAILED: EventKind.RUN_FAILED,
    RunState.CANCELLED: EventKind.RUN_CANCELLED,
    RunState.GATED: EventKind.RUN_GATED,
}
