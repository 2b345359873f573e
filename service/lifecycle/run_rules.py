"""What the state machine must know of a run's configuration: its retries, its deadlines, its gate."""

from dataclasses import dataclass, field

from service.config.policies import FaultTolerance
from service.config.run import RunConfig


@dataclass(frozen=True)
class RunRules:
    """The defaults are those of a run that says nothing."""

    fault_tolerance: FaultTolerance = field(default_factory=FaultTolerance)
    stops_at_gate: bool = False
    """Whether a student that is not promoted ends the run."""


def rules_of(config: str) -> RunRules:
    """The rules of a run's configuration, as JSON."""
    parsed = RunConfig.model_validate_json(config)
    return RunRules(
        fault_tolerance=parsed.fault_tolerance,
        stops_at_gate=parsed.gate is not None and parsed.gate.on_failure == "stop",
    )
