"""A run as the store knows it, and what was seen of its current attempt: the values that `decide` decides on."""

from dataclasses import dataclass, field

from service.lifecycle.run_rules import RunRules
from service.lifecycle.states import OPEN_ATTEMPTS, AttemptState, GenerationState, RunState, StageState
from service.ray_client.job_status import JobStatus
from workers.specs.reports import FailureReason, Progress, StageFailure
from workers.specs.results import AnyStageResult
from workers.specs.stages import StageName


@dataclass(frozen=True)
class AttemptSnapshot:
    """Times are Unix seconds."""

    number: int
    state: AttemptState
    created_at: float
    failure_reason: FailureReason | None = None
    failure_message: str | None = None
    submitted_at: float | None = None
    pause_requested_at: float | None = None
    stop_requested_at: float | None = None
    """When Ray was first asked to stop its job."""
    stop_asked_at: float | None = None
    """And when it was last."""
    finished_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_ATTEMPTS


@dataclass(frozen=True)
class StageSnapshot:
    generation: int
    name: StageName
    state: StageState
    attempts: tuple[AttemptSnapshot, ...] = ()
    """In order of their numbers, from 1 without gaps; of a stage that has succeeded, none."""
    attempts_before_retry: int = 0
    """Attempts up to this number were made before the user asked for a retry, and no longer count."""

    @property
    def open_attempt(self) -> AttemptSnapshot | None:
        return self.attempts[-1] if self.attempts and self.attempts[-1].is_open else None


@dataclass(frozen=True)
class GenerationSnapshot:
    number: int
    state: GenerationState
    stages: tuple[StageSnapshot, ...]
    """In order; of a generation that has succeeded, none."""
    promoted: bool | None = None
    """Whether its model may teach; None where no gate has judged it."""
    gate_reason: str | None = None


@dataclass(frozen=True)
class RunSnapshot:
    run_id: str
    state: RunState
    generations: tuple[GenerationSnapshot, ...]
    rules: RunRules = field(default_factory=RunRules)

    @property
    def current_stage(self) -> StageSnapshot | None:
        """The first stage that has not succeeded; None when all have."""
        stages = (stage for generation in self.generations for stage in generation.stages)
        return next((stage for stage in stages if stage.state is not StageState.SUCCEEDED), None)


@dataclass(frozen=True)
class Observed:
    """What was seen of the open attempt. Result and failure are those of this attempt, never of an earlier one."""

    job: JobStatus = JobStatus.UNAVAILABLE
    job_message: str = ""
    """Ray's own account of the job; with UNAVAILABLE, why Ray did not answer."""
    result: AnyStageResult | None = None
    failure: StageFailure | None = None
    progress: Progress | None = None
    """Of a running job: None before the stage has said anything."""
    files_seen: bool = True
    """Whether there was a look at its files: without one, nothing they lack says anything."""


NOTHING_OBSERVED = Observed()
