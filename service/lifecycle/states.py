"""The states of runs, generations, stages and attempts, and which may follow which."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class RunState(StrEnum):
    RUNNING = "running"
    PAUSING = "pausing"
    """Someone requested a pause; the stage in flight continues to the end of its unit."""
    PAUSED = "paused"
    """Nothing of the run is on the cluster until someone resumes it."""
    CANCELLING = "cancelling"
    """Someone requested a cancel; a Ray job may still be alive."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GATED = "gated"
    """The gate ended the run because a student was not good enough to become a teacher."""


class RunKind(StrEnum):
    RUN = "run"
    SEARCH = "search"
    """A run of one stage, on the data and labels of another run's generation."""
    ABLATION = "ablation"
    """Also a run of one stage, on the data and labels of another run's generation."""
    PLAN = "plan"
    """A run of one stage that measures what another run would cost."""
    PREDICTION = "prediction"
    """A run of one stage in which a trained model answers about a dataset."""
    REGISTRATION = "registration"
    """A run of one stage that checks a model that was trained elsewhere."""


class GenerationState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StageState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AttemptState(StrEnum):
    SUBMITTING = "submitting"
    """The submission id is on record, but the service does not know yet whether Ray has the job."""
    SUBMITTED = "submitted"
    """Ray has accepted the job."""
    STOPPING = "stopping"
    """The attempt is over for the reason on record; its Ray job may still be alive."""
    PAUSED = "paused"
    """The attempt stopped at the end of a unit; another attempt continues from there."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE_RUNS = frozenset({RunState.RUNNING, RunState.PAUSING, RunState.CANCELLING})
"""Runs that the reconciler works on."""
UNFINISHED_RUNS = ACTIVE_RUNS | {RunState.PAUSED}
"""Runs that have not ended."""
UNFINISHED_STAGES = frozenset({StageState.PENDING, StageState.RUNNING})
"""Stages that have not ended."""
NOT_SUCCEEDED_STAGES = frozenset(StageState) - {StageState.SUCCEEDED}
"""Stages that may still change. One that has succeeded never does."""
OPEN_ATTEMPTS = frozenset({AttemptState.SUBMITTING, AttemptState.SUBMITTED, AttemptState.STOPPING})
"""Attempts whose Ray job may be alive. A stage has at most one."""
ENDED_ATTEMPTS = frozenset(AttemptState) - OPEN_ATTEMPTS

ALLOWED_RUN: Mapping[RunState, frozenset[RunState]] = {
    RunState.RUNNING: frozenset(
        {RunState.PAUSING, RunState.CANCELLING, RunState.SUCCEEDED, RunState.FAILED, RunState.GATED}
    ),
    # The stage in flight may end the run before the run pauses.
    RunState.PAUSING: frozenset(
        {RunState.PAUSED, RunState.RUNNING, RunState.CANCELLING, RunState.SUCCEEDED, RunState.FAILED, RunState.GATED}
    ),
    RunState.PAUSED: frozenset({RunState.RUNNING, RunState.CANCELLING}),
    RunState.CANCELLING: frozenset({RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset({RunState.RUNNING}),  # one more generation
    RunState.FAILED: frozenset({RunState.RUNNING}),  # retry
    RunState.CANCELLED: frozenset({RunState.RUNNING}),  # retry
    RunState.GATED: frozenset(),
}
ALLOWED_GENERATION: Mapping[GenerationState, frozenset[GenerationState]] = {
    GenerationState.PENDING: frozenset({GenerationState.RUNNING, GenerationState.CANCELLED}),
    GenerationState.RUNNING: frozenset({GenerationState.SUCCEEDED, GenerationState.FAILED, GenerationState.CANCELLED}),
    GenerationState.SUCCEEDED: frozenset(),
    GenerationState.FAILED: frozenset({GenerationState.PENDING}),  # retry
    GenerationState.CANCELLED: frozenset({GenerationState.PENDING}),  # retry
}
ALLOWED_STAGE: Mapping[StageState, frozenset[StageState]] = {
    StageState.PENDING: frozenset({StageState.RUNNING, StageState.CANCELLED}),
    StageState.RUNNING: frozenset({StageState.SUCCEEDED, StageState.FAILED, StageState.CANCELLED}),
    StageState.SUCCEEDED: frozenset(),
    StageState.FAILED: frozenset({StageState.PENDING}),  # retry
    StageState.CANCELLED: frozenset({StageState.PENDING}),  # retry
}
ALLOWED_ATTEMPT: Mapping[AttemptState, frozenset[AttemptState]] = {
    AttemptState.SUBMITTING: frozenset(
        {
            AttemptState.SUBMITTED,
            AttemptState.SUCCEEDED,
            AttemptState.FAILED,
            AttemptState.CANCELLED,
            AttemptState.PAUSED,
        }
    ),
    AttemptState.SUBMITTED: frozenset(
        {AttemptState.STOPPING, AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.PAUSED}
    ),
    # A result that the stage wrote while its job was being stopped still counts.
    AttemptState.STOPPING: frozenset(
        {AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.CANCELLED, AttemptState.PAUSED}
    ),
    AttemptState.PAUSED: frozenset(),
    AttemptState.SUCCEEDED: frozenset(),
    AttemptState.FAILED: frozenset(),
    AttemptState.CANCELLED: frozenset(),
}

State = TypeVar("State", bound=StrEnum)


def states_before(allowed: Mapping[State, frozenset[State]], state: State) -> list[State]:
    """Returns the states that `state` may follow."""
    return [before for before, after in allowed.items() if state in after]


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """The service gave up after `webhooks.max_attempts`. You can resend the delivery by hand."""
