"""`python -m workers.entrypoint SPEC_URI`: runs one stage and writes result.json or failure.json last."""

import time

_ENTERED_AT = time.time()  # before the imports, which take seconds and count as set-up

import importlib  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable  # noqa: E402

from workers.artifact_io import join_uri, read_bytes, write_bytes  # noqa: E402
from workers.environment import describe_environment  # noqa: E402
from workers.specs.stages import (  # noqa: E402
    FAILURE_FILE,
    RESULT_FILE,
    STAGE_SPEC,
    AnyStageSpec,
    FailureReason,
    StageFailure,
    StageName,
    StageResult,
)
from workers.stage_reporter import StageError, StageReporter, Superseded  # noqa: E402

logger = logging.getLogger("workers.entrypoint")

STAGES: dict[StageName, tuple[str, str]] = {
    "train": ("workers.training.stage", "run_train"),
    "label": ("workers.labeling.stage", "run_label"),
    "select": ("workers.selection.stage", "run_select"),
    "search": ("workers.search.stage", "run_search"),
    "evaluate": ("workers.evaluation.stage", "run_evaluate"),
    "ablate": ("workers.ablation.stage", "run_ablate"),
}
STAGES_WITHOUT_RAY: frozenset[StageName] = frozenset({"select"})


def run(spec_uri: str, entered_at: float) -> int:
    """Runs the stage: 0 if it wrote a result, 1 if it wrote a failure, 2 if a newer attempt owns the folder."""
    spec = STAGE_SPEC.validate_json(read_bytes(spec_uri))
    reporter = StageReporter(spec, entered_at)
    logger.info("stage %s of generation %d, attempt %d", spec.stage, spec.generation, spec.attempt)
    try:
        result = _run_stage(spec, reporter).model_copy(update={"environment": describe_environment()})
        reporter.check_still_ours()
    except Superseded as superseded:
        logger.warning("stopping: %s", superseded)
        return 2
    except Exception as error:
        traceback.print_exc()
        failure = StageFailure(attempt=spec.attempt, reason=reason_of(error), message=message_of(error))
        write_bytes(join_uri(spec.folder_uri, FAILURE_FILE), failure.model_dump_json().encode())
        return 1
    write_bytes(join_uri(spec.folder_uri, RESULT_FILE), result.model_dump_json().encode())
    return 0


def reason_of(error: BaseException) -> FailureReason:
    """The failure reason of an exception, or of the one that caused it: Ray wraps what its workers raise."""
    for cause in _causes(error):
        if isinstance(cause, StageError):
            return cause.reason
        if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError":
            return FailureReason.OUT_OF_MEMORY
    return FailureReason.STAGE_ERROR


def message_of(error: BaseException) -> str:
    """One line for people: the innermost cause's type and text."""
    innermost = _causes(error)[-1]
    for cause in _causes(error):
        if isinstance(cause, StageError):
            return cause.message
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
    if spec.stage not in STAGES_WITHOUT_RAY:
        import ray

        ray.init(log_to_driver=True, logging_level=logging.WARNING)
    module, function = STAGES[spec.stage]
    stage: Callable[[AnyStageSpec, StageReporter], StageResult] = getattr(importlib.import_module(module), function)
    return stage(spec, reporter)


def main() -> None:
    """The job's command line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if len(sys.argv) != 2:
        sys.exit("usage: python -m workers.entrypoint SPEC_URI")
    code = run(sys.argv[1], _ENTERED_AT)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Without this, tearing down Ray's client and torch takes seconds, in which the job counts as running.
    os._exit(code)


if __name__ == "__main__":
    main()
