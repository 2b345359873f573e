"""Makes the processes of a stage log alike: its driver, and the Ray workers and actors that it starts."""

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from workers.specs.base import Frozen
from workers.specs.telemetry import LogFormat
from workers.telemetry.logs import add_to_records, configure_logging

if TYPE_CHECKING:
    from workers.specs.stages import AnyStageSpec

LOGS_VARIABLE = "NOISY_STUDENT_STAGE_LOGS"
RAY_WORKER_HOOK = f"{__name__}.configure_ray_worker"
"""What Ray calls in each worker before its first task."""


class StageLogs(Frozen):
    """What the log lines of a stage have in common."""

    format: LogFormat
    run: str
    generation: int
    stage: str
    attempt: int
    request_id: str | None

    @property
    def fields(self) -> Mapping[str, str | int | None]:
        """What every line says."""
        return self.model_dump(exclude={"format"})

    def configure_driver(self) -> None:
        """Makes this process, the stage's driver, log in this way."""
        configure_logging(self.format, "driver", **self.fields)


def logs_of(spec: "AnyStageSpec") -> StageLogs:
    """How the processes of this attempt log."""
    return StageLogs(
        format=spec.telemetry.log_format,
        run=spec.run_id,
        generation=spec.generation,
        stage=spec.stage,
        attempt=spec.attempt,
        request_id=spec.telemetry.request_id,
    )


def logs_environment(logs: StageLogs) -> Mapping[str, str]:
    """What every process of a stage must have in its environment; nothing where lines are plain, as Ray's own are."""
    return {} if logs.format == "plain" else {LOGS_VARIABLE: logs.model_dump_json()}


def logs_of_environment() -> StageLogs | None:
    """How this process of a stage logs; None where lines are plain."""
    found = os.environ.get(LOGS_VARIABLE)
    return None if found is None else StageLogs.model_validate_json(found)


def configure_ray_worker() -> None:
    """Makes the lines of this Ray worker, which Ray itself formats, say what those of its stage's driver do."""
    logs = logs_of_environment()
    if logs is not None:
        add_to_records(component="worker", **logs.fields)
        logging.captureWarnings(True)
