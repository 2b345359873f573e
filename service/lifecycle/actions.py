"""The actions that `decide` returns. Each is a value; `service.reconcile.apply` carries it out."""

from dataclasses import dataclass

from service.config.stage_key import StageKey
from service.lifecycle.states import RunState
from workers.specs.devices import Devices
from workers.specs.reports import FailureReason, Waiting
from workers.specs.results import AnyStageResult
from workers.specs.stages import StageName


@dataclass(frozen=True)
class OfAttempt:
    """An action on one attempt of a stage."""

    generation: int
    stage: StageName
    attempt: int

    def key(self, run_id: str) -> StageKey:
        """Returns the key of the attempt's stage in the run `run_id`."""
        return StageKey(run_id, self.generation, self.stage)


@dataclass(frozen=True)
class CreateAttempt(OfAttempt):
    """Records the attempt and its submission id before anything is submitted."""


@dataclass(frozen=True)
class SubmitAttempt(OfAttempt):
    """Writes the attempt's spec and submits the Ray job whose id is on record."""


@dataclass(frozen=True)
class MarkSubmitted(OfAttempt):
    """Records that Ray already has the job: a reconciler died after it submitted the job and before it said so."""


@dataclass(frozen=True)
class RequestPause(OfAttempt):
    """Asks the stage to stop at the end of its current unit."""


@dataclass(frozen=True)
class RecordDevices(OfAttempt):
    """Records what the attempt is charged for from its submission on, as its driver decided on the cluster."""

    devices: Devices


@dataclass(frozen=True)
class RecordWait(OfAttempt):
    """Records what the attempt waits for before its work begins; None: it waits no longer."""

    waiting: Waiting | None


@dataclass(frozen=True)
class BeginStopping(OfAttempt):
    """Records that the attempt is over for `reason`, although its Ray job may still be alive."""

    reason: FailureReason
    message: str


@dataclass(frozen=True)
class StopJob(OfAttempt):
    """Asks Ray to stop the job of an attempt that is over."""


@dataclass(frozen=True)
class EndAttempt(OfAttempt):
    """Records that the attempt ended without a result and that its Ray job is not alive, as far as Ray knows."""

    reason: FailureReason
    message: str
    maybe_alive: bool = False
    """Whether the job may be alive nevertheless: Ray may have forgotten it, or may be about to start it."""


@dataclass(frozen=True)
class FinishStage(OfAttempt):
    """Records the attempt's result: its stage has succeeded."""

    result: AnyStageResult


@dataclass(frozen=True)
class FinishGeneration:
    """Records that all stages of the generation have succeeded."""

    generation: int


@dataclass(frozen=True)
class PauseRun:
    """Records that the run is paused: nothing of it is on the cluster any more."""


@dataclass(frozen=True)
class EndRun:
    """Ends the run in `state`. `generation` and `stage` say where it stopped; both are None if all stages succeeded."""

    state: RunState
    generation: int | None = None
    stage: StageName | None = None
    reason: str | None = None


Action = (
    CreateAttempt
    | SubmitAttempt
    | MarkSubmitted
    | RequestPause
    | RecordDevices
    | RecordWait
    | BeginStopping
    | StopJob
    | EndAttempt
    | FinishStage
    | FinishGeneration
    | PauseRun
    | EndRun
)
