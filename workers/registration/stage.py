"""Runs the verify stage: loads foreign weights in a process of their own, checks them, and writes the model."""

from functools import partial

from workers.initialization.own_process import in_own_process
from workers.runtime.stage_reporter import StageReporter
from workers.specs.results import VerifyResult
from workers.specs.stages import VerifySpec


def run_verify(spec: VerifySpec, reporter: StageReporter) -> VerifyResult:
    """Registers the model that `spec` names. It writes nothing of the model before the check has passed.

    Raises StageError: USER_ERROR if the weights are not there, cannot be read safely, do not fit the model or its
    classes, or answer with NaN; BAD_DATA if too many of the images cannot be read.
    """
    reporter.announce(spec.settings.images, "images")
    reporter.begin_work()
    found = in_own_process(partial(_register, spec), reporter.still_alive)
    reporter.end_work()
    reporter.update(spec.settings.images)
    return found.model_copy(update={"timing": reporter.timing()})


def _register(spec: VerifySpec) -> VerifyResult:
    # Only this process needs torch and timm, and reads foreign bytes.
    from workers.registration.registering import register

    return register(spec)
