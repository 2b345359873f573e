"""What `decide` asks for: one value an action, applied by `service.reconcile.apply`."""

from dataclasses import dataclass

from service.lifecycle.states import RunState
from workers.specs.reports import FailureReason
from workers.specs.results import AnyStageResult
from workers.specs.stages import StageName


@dataclass(frozen=True)
class CreateAttempt:
    """Puts the intent on record: attempt `attempt` and its submission id."""

    generation: int
    stage: StageName
    attempt: int


@dataclass(frozen=True)
class SubmitAttempt:
    """Writes the spec and submits the Ray job whose id is on record."""

    generation: int
    stage: StageName
    attempt: int


@dataclass(frozen=True)
class MarkSubmitted:
    """Ray has the job already: a reconciler died between submitting it and saying so."""

    generation: int
    stage: StageName
    attempt: int


@dataclass(frozen=True)
class RequestPause:
    """Asks the stage to end at its next unit."""

    generation: int
    stage: StageName
    attempt: int


@dataclass(frozen=True)
class BeginStopping:
    """The attempt is over for this reason, but its Ray job may be alive."""

    generation: int
    stage: StageName
    attempt: int
    reason: FailureReason
    message: str


@dataclass(frozen=True)
class StopJob:
    """Asks Ray to stop the job of an attempt that is over."""

    generation: int
    stage: StageName
    attempt: int


@dataclass(frozen=True)
class EndAttempt:
    """The attempt ended without a result, and its Ray job is not alive as far as Ray knows."""

    generation: int
    stage: StageName
    attempt: int
    reason: FailureReason
    message: str
    maybe_alive: bool = False
    """Whether Ray may only have forgotten its job, or be about to begin it."""


@dataclass(frozen=True)
class FinishStage:
    """The attempt's result is there."""

    generation: int
    stage: StageName
    attempt: int
    result: AnyStageResult


@dataclass(frozen=True)
class FinishGeneration:
    """All stages of the generation have succeeded."""

    generation: int


@dataclass(frozen=True)
class PauseRun:
    """Nothing of the run is on the cluster any more."""


@dataclass(frozen=True)
class EndRun:
    """The run is over; `generation` and `stage` say where it stopped, unless all stages have succeeded."""

    state: RunState
    generation: int | None = None
    stage: StageName | None = None
    reason: str | None = None


Action = (
    CreateAttempt
    | SubmitAttempt
    | MarkSubmitted
    | RequestPause
    | BeginStopping
    | StopJob
    | EndAttempt
    | FinishStage
    | FinishGeneration
    | PauseRun
    | EndRun
)
