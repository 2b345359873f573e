"""Makes snapshots of runs, and the decisions on them."""

from typing import Any

from service.lifecycle.decide import decide
from service.lifecycle.snapshots import (
    NOTHING_OBSERVED,
    AttemptSnapshot,
    GenerationSnapshot,
    Observed,
    RunSnapshot,
    StageSnapshot,
)
from service.lifecycle.states import AttemptState, GenerationState, RunState, StageState
from workers.specs.reports import FailureReason, Progress, StageFailure
from workers.specs.results import StageTiming, TrainResult

NOW = 1000.0
RESULT = TrainResult(
    attempt=1,
    timing=StageTiming(entered_at=0, work_started_at=1, work_ended_at=2),
    model_uri="/models",
    parameters=1,
    steps=1,
    resumed_from_step=0,
    images_seen=1,
    final_loss=0.0,
    validation_top1=1.0,
    bad_images=0,
)
FAILURE = StageFailure(attempt=1, reason=FailureReason.STAGE_ERROR, message="boom")


def make_attempt(state: AttemptState, number: int = 1, **changes: Any) -> AttemptSnapshot:
    return AttemptSnapshot(number=number, state=state, created_at=NOW - 100, **changes)


def make_failed(number: int, reason: FailureReason, finished_at: float = NOW - 90) -> AttemptSnapshot:
    return make_attempt(
        AttemptState.FAILED, number, failure_reason=reason, failure_message="why", finished_at=finished_at
    )


def make_run(
    *attempts: AttemptSnapshot, state: RunState = RunState.RUNNING, attempts_before_retry: int = 0
) -> RunSnapshot:
    """A run with generation 0, whose train stage has these attempts."""
    train = StageSnapshot(0, "train", StageState.RUNNING, attempts, attempts_before_retry)
    evaluate = StageSnapshot(0, "evaluate", StageState.PENDING)
    return RunSnapshot("run-1", state, (GenerationSnapshot(0, GenerationState.RUNNING, (train, evaluate)),))


def make_generations(*states: tuple[GenerationState, StageState]) -> RunSnapshot:
    """A run whose generations have one stage each, in these states."""
    generations = tuple(
        GenerationSnapshot(number, generation, (StageSnapshot(number, "train" if number == 0 else "label", stage),))
        for number, (generation, stage) in enumerate(states)
    )
    return RunSnapshot("run-1", RunState.RUNNING, generations)


def progress(**changes: Any) -> Progress:
    known: dict[str, Any] = {"attempt": 1, "done": 3, "total": 10, "unit": "steps", "entered_at": 0.0}
    return Progress(**{**known, "work_started_at": None, "updated_at": NOW, "advanced_at": NOW, **changes})


def next_actions(run: RunSnapshot, observed: Observed = NOTHING_OBSERVED, now: float = NOW) -> list[Any]:
    return decide(run, observed, now, max_attempts=4)
