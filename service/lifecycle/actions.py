"""What `decide` asks for: one value an action, applied by `service.reconcile.apply`."""

from dataclasses import dataclass

from service.config.stage_key import StageKey
from service.lifecycle.states import RunState
from workers.specs.reports import FailureReason
from workers.specs.results import AnyStageResult
from workers.specs.stages import StageName


@dataclass(frozen=True)
class OfAttempt:
    """What concerns one attempt of a stage of the run."""

    generation: int
    stage: StageName
    attempt: int

    def key(self, run_id: str) -> StageKey:
        """The stage, where the run is this one."""
        return StageKey(run_id, self.generation, self.stage)


@dataclass(frozen=True)
class CreateAttempt(OfAttempt):
    """Puts the intent on record: attempt `attempt` and its submission id."""


@dataclass(frozen=True)
class SubmitAttempt(OfAttempt):
    """Writes the spec and submits the Ray job whose id is on record."""


@dataclass(frozen=True)
class MarkSubmitted(OfAttempt):
    """Ray has the job already: a reconciler died between submitting it and saying so."""


@dataclass(frozen=True)
class RequestPause(OfAttempt):
    """Asks the stage to end at its next unit."""


@dataclass(frozen=True)
class BeginStopping(OfAttempt):
    """The attempt is over for this reason, but its Ray job may be alive."""

    reason: FailureReason
    message: str


@dataclass(frozen=True)
class StopJob(OfAttempt):
    """Asks Ray to stop the job of an attempt that is over."""


@dataclass(frozen=True)
class EndAttempt(OfAttempt):
    """The attempt ended without a result, and its Ray job is not alive as far as Ray knows."""

    reason: FailureReason
    message: str
    maybe_alive: bool = False
    """Whether Ray may only have forgotten its job, or be about to begin it."""


@dataclass(frozen=True)
class FinishStage(OfAttempt):
    """The attempt's result is there."""

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
