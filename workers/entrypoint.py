"""`python -m workers.entrypoint SPEC_URI` runs one stage, and writes result.json or failure.json last."""

import time

_ENTERED_AT = time.time()  # before the imports, which take seconds and count as set-up

import importlib  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402

from workers.artifact_io import is_store_error, join_uri, read_bytes, read_bytes_if_there, write_bytes  # noqa: E402
from workers.data.dataset_roots import OutsideOfRoots, stage_environment  # noqa: E402
from workers.data.errors import ShardReadError, read_failure  # noqa: E402
from workers.runtime.cluster import join_cluster, settled_on_cluster  # noqa: E402
from workers.runtime.environment import describe_environment  # noqa: E402
from workers.runtime.internals import internals_environment  # noqa: E402
from workers.runtime.resource_watch import watch_for_resources  # noqa: E402
from workers.runtime.stage_reporter import Paused, StageError, StageReporter, Superseded  # noqa: E402
from workers.specs.devices import devices_of  # noqa: E402
from workers.specs.reports import FailureReason, StageFailure  # noqa: E402
from workers.specs.results import StageResult  # noqa: E402
from workers.specs.stages import FAILURE_FILE, RESULT_FILE, STAGE_SPEC, AnyStageSpec, StageName  # noqa: E402
from workers.telemetry.logs import configure_logging  # noqa: E402
from workers.telemetry.stage_processes import logs_environment, logs_of  # noqa: E402
from workers.tracking.stage_tracking import tracked  # noqa: E402

logger = logging.getLogger("workers.entrypoint")

CANNOT_WRITE = 3
"""The exit code of a stage that could write neither a result nor a failure."""

STAGES: dict[StageName, tuple[str, str]] = {
    "train": ("workers.training.stage", "run_train"),
    "label": ("workers.labeling.stage", "run_label"),
    "select": ("workers.selection.stage", "run_select"),
    "search": ("workers.search.stage", "run_search"),
    "evaluate": ("workers.evaluation.stage", "run_evaluate"),
    "ablate": ("workers.ablation.stage", "run_ablate"),
    "measure": ("workers.measuring.stage", "run_measure"),
    "predict": ("workers.prediction.stage", "run_predict"),
    "verify": ("workers.registration.stage", "run_verify"),
}
_NODE_DIED = "The actor died because its node has died"
"""The words of ray.exceptions.ActorDiedError, which has no field for the loss of a node."""


def run(spec_uri: str, entered_at: float) -> int:
    """Runs the stage, and returns 0 if it wrote a result, 1 if it failed or paused, 2 if it had nothing to do.

    It has nothing to do if a later attempt owns the folder, or if this attempt is over: a submit that reaches Ray late,
    after the job has ended, starts the job again, and Ray cannot stop a job that has not begun.
    """
    spec = STAGE_SPEC.validate_json(read_bytes(spec_uri))
    if spec.telemetry.log_format != "plain":
        logs_of(spec).configure_driver()
    reporter = StageReporter(spec, entered_at)
    with _traced(spec, reporter, entered_at) as fail:
        return _run_once(spec, reporter, fail)


@contextmanager
def _traced(
    spec: AnyStageSpec, reporter: StageReporter, entered_at: float
) -> Iterator[Callable[[FailureReason], None]]:
    if spec.telemetry.otlp_endpoint is None:
        yield lambda reason: None
    else:
        from workers.telemetry.stage_trace import traced_stage  # imports a third of a second of OpenTelemetry

        with traced_stage(spec, entered_at, reporter.timing) as fail:
            yield fail


def _run_once(spec: AnyStageSpec, reporter: StageReporter, fail: Callable[[FailureReason], None]) -> int:
    logger.info("stage %s of generation %d, attempt %d", spec.stage, spec.generation, spec.attempt)
    try:
        reporter.check_still_ours()
        if _has_ended_before(spec):
            logger.warning("stopping: attempt %d has ended before", spec.attempt)
            return 2
        reporter.pause_if_asked()
        result = _run_stage(spec, reporter)
        known = {"environment": describe_environment(), "devices": reporter.devices}
        result = result.model_copy(update=known)
        reporter.check_still_ours()
    except Superseded as superseded:
        logger.warning("stopping: %s", superseded)
        return 2
    except Exception as error:
        logger.exception("the stage failed")
        fail(reason_of(error))
        failure = StageFailure(
            attempt=spec.attempt, reason=reason_of(error), message=message_of(error), devices=reporter.devices
        )
        return 1 if _write_last(spec, FAILURE_FILE, failure) else CANNOT_WRITE
    return 0 if _write_last(spec, RESULT_FILE, result) else CANNOT_WRITE


def _has_ended_before(spec: AnyStageSpec) -> bool:
    for name in (RESULT_FILE, FAILURE_FILE):
        data = read_bytes_if_there(join_uri(spec.folder_uri, name))
        if data is not None and json.loads(data).get("attempt") == spec.attempt:
            return True
    return False


def _write_last(spec: AnyStageSpec, name: str, outcome: StageResult | StageFailure) -> bool:
    """Writes the outcome, and returns whether that worked. On a full disk only the job's log can say what happened."""
    try:
        write_bytes(join_uri(spec.folder_uri, name), outcome.model_dump_json().encode())
    except OSError as error:
        logger.error("%s cannot be written: %s", name, error)
        return False
    return True


def reason_of(error: BaseException) -> FailureReason:
    """The failure reason of an exception, or of its cause: Ray wraps the exceptions of its workers."""
    for cause in _causes(error):
        if isinstance(cause, Paused):
            return FailureReason.PAUSED
        if isinstance(cause, StageError):
            return cause.reason
        if isinstance(cause, OutsideOfRoots):
            return FailureReason.USER_ERROR
        # Ray says so of an actor that died, and Ray Train of its worker group.
        if getattr(cause, "preempted", False) or type(cause).__name__ == "PreemptionError":
            return FailureReason.PREEMPTED
        if type(cause).__name__ == "NodeDiedError" or _NODE_DIED in str(cause):
            return FailureReason.NODE_LOST
        if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError":
            return FailureReason.OUT_OF_MEMORY
        if isinstance(cause, ShardReadError):
            return read_failure(cause)
        if is_store_error(cause):
            return FailureReason.ARTIFACT_STORE
    return FailureReason.STAGE_ERROR


def message_of(error: BaseException) -> str:
    """The failure in one line for people: the stage's own message, or the type and text of the innermost cause."""
    innermost = _causes(error)[-1]
    for cause in _causes(error):
        if isinstance(cause, (StageError, Paused, ShardReadError)):
            return str(cause)
    text = str(innermost).strip().splitlines()
    return f"{type(innermost).__name__}: {text[-1] if text else ''}"[:2000]


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        failures = getattr(current, "worker_failures", None)  # ray.train.WorkerGroupError
        wrapped = next(iter(failures.values())) if failures else getattr(current, "cause", None)
        current = wrapped if isinstance(wrapped, BaseException) else current.__cause__
    return chain


def _run_stage(spec: AnyStageSpec, reporter: StageReporter) -> StageResult:
    os.environ.update(
        {
            **stage_environment(spec.dataset_roots),
            **internals_environment(spec.internals),
            **logs_environment(logs_of(spec)),
        }
    )
    if _needs_ray(spec):
        join_cluster()
        spec = settled_on_cluster(spec)
        reporter.devices = devices_of(spec)
        watch_for_resources(spec, reporter)
    module, function = STAGES[spec.stage]
    stage: Callable[[AnyStageSpec, StageReporter], StageResult] = getattr(importlib.import_module(module), function)
    with tracked(spec) as tell:
        result = stage(spec, reporter)
        tell(result)
    return result


def _needs_ray(spec: AnyStageSpec) -> bool:
    """Whether to join the cluster here. A measure stage joins it itself, to time that; a driver registers alone."""
    return spec.stage not in ("measure", "verify") and (spec.stage != "select" or spec.settings.materialize is not None)


def main() -> None:
    """Runs the stage that the command line names."""
    configure_logging("plain", "driver")
    if len(sys.argv) != 2:
        sys.exit("usage: python -m workers.entrypoint SPEC_URI")
    code = run(sys.argv[1], _ENTERED_AT)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Otherwise the job would count as running for the seconds that tearing down Ray's client and torch takes.
    os._exit(code)


if __name__ == "__main__":
    main()
