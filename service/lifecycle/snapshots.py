"""The input of `decide`: a run as the database holds it, and the observation of its open attempt."""

from dataclasses import dataclass, field

from service.lifecycle.run_rules import RunRules
from service.lifecycle.states import OPEN_ATTEMPTS, AttemptState, GenerationState, RunState, StageState
from service.ray_client.job_status import JobStatus
from workers.specs.devices import Devices
from workers.specs.reports import FailureReason, Progress, StageFailure, Waiting
from workers.specs.results import AnyStageResult
from workers.specs.stages import StageName


@dataclass(frozen=True)
class AttemptSnapshot:
    """An attempt as the database holds it. All times are in Unix seconds."""

    number: int
    state: AttemptState
    created_at: float
    failure_reason: FailureReason | None = None
    failure_message: str | None = None
    submitted_at: float | None = None
    pause_requested_at: float | None = None
    stop_requested_at: float | None = None
    """When the reconciler first asked Ray to stop the attempt's job."""
    stop_asked_at: float | None = None
    """When the reconciler last asked Ray to stop the attempt's job."""
    finished_at: float | None = None
    devices: Devices | None = None
    """What the attempt is charged for, as recorded so far; None for an attempt of an earlier release."""
    waiting: Waiting | None = None
    """What the attempt waits for before its work begins, as recorded so far."""

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_ATTEMPTS


@dataclass(frozen=True)
class StageSnapshot:
    generation: int
    name: StageName
    state: StageState
    attempts: tuple[AttemptSnapshot, ...] = ()
    """Ordered by number, from 1 without gaps. Empty for a stage that has succeeded."""
    attempts_before_retry: int = 0
    """How many attempts precede the user's last retry. They no longer count towards any limit."""

    @property
    def open_attempt(self) -> AttemptSnapshot | None:
        return self.attempts[-1] if self.attempts and self.attempts[-1].is_open else None


@dataclass(frozen=True)
class GenerationSnapshot:
    number: int
    state: GenerationState
    stages: tuple[StageSnapshot, ...]
    """In order of execution. Empty for a generation that has succeeded."""
    promoted: bool | None = None
    """Whether the gate accepted the generation's model as a teacher; None if no gate has judged it."""
    gate_reason: str | None = None


@dataclass(frozen=True)
class RunSnapshot:
    run_id: str
    state: RunState
    generations: tuple[GenerationSnapshot, ...]
    rules: RunRules = field(default_factory=RunRules)
    request_id: str | None = None
    """The request that created the run."""

    @property
    def current_stage(self) -> StageSnapshot | None:
        """The first stage that has not succeeded; None when all have."""
        stages = (stage for generation in self.generations for stage in generation.stages)
        return next((stage for stage in stages if stage.state is not StageState.SUCCEEDED), None)


@dataclass(frozen=True)
class Observed:
    """What the reconciler saw of an open attempt. Result and failure are this attempt's own, never an earlier one's."""

    job: JobStatus = JobStatus.UNAVAILABLE
    job_message: str = ""
    """Ray's message about the job; for an UNAVAILABLE job, why Ray did not answer."""
    result: AnyStageResult | None = None
    failure: StageFailure | None = None
    progress: Progress | None = None
    """The running stage's progress; None until the stage reports any."""
    files_seen: bool = True
    """Whether the reconciler read the attempt's files. If not, a missing result or progress means nothing."""


NOTHING_OBSERVED = Observed()
