"""The span of a stage's driver, below that of its submission, and the spans of its phases."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry.trace import Status, StatusCode

from workers.specs.reports import FailureReason
from workers.specs.results import StageTiming
from workers.specs.stages import AnyStageSpec
from workers.telemetry.traces import past_span, span, start_tracing, stop_tracing

Fail = Callable[[FailureReason], None]


@contextmanager
def traced_stage(spec: AnyStageSpec, entered_at: float, timing: Callable[[], StageTiming]) -> Iterator[Fail]:
    """Traces the `with` block, and sends its spans at the end. Yields what to call if the attempt fails.

    `timing` is asked at the end: when the set-up ended and the work began (Unix seconds).
    """
    start_tracing(spec.telemetry.otlp_endpoint, "driver")
    attributes: dict[str, str | int | None] = {
        "noisy_student.run": spec.run_id,
        "noisy_student.generation": spec.generation,
        "noisy_student.stage": spec.stage,
        "noisy_student.attempt": spec.attempt,
        "noisy_student.request_id": spec.telemetry.request_id,
    }
    try:
        with span(f"stage {spec.stage}", spec.telemetry.traceparent, attributes, started_at=entered_at) as stage:

            def fail(reason: FailureReason) -> None:
                stage.set_attribute("noisy_student.reason", reason.value)
                if reason is not FailureReason.PAUSED:
                    stage.set_status(Status(StatusCode.ERROR, reason.value))

            yield fail
            _add_phases(timing())
    finally:
        stop_tracing()


def _add_phases(timing: StageTiming) -> None:
    past_span("set-up", timing.entered_at, timing.work_started_at)
    if timing.work_ended_at > timing.work_started_at:
        past_span("work", timing.work_started_at, timing.work_ended_at)
