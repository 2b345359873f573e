"""The part of a run's configuration that the state machine needs: retries, timeouts and the gate."""

from dataclasses import dataclass, field

from service.config.policies import FaultTolerance
from service.config.run import RunConfig


@dataclass(frozen=True)
class RunRules:
    """The retries, timeouts and gate of a run. The defaults apply to a run that configures none of them."""

    fault_tolerance: FaultTolerance = field(default_factory=FaultTolerance)
    stops_at_gate: bool = False
    """Whether a student that is not promoted ends the run."""


def rules_of(config: str) -> RunRules:
    """Returns the rules of the run whose configuration `config` is, as JSON."""
    parsed = RunConfig.model_validate_json(config)
    return RunRules(
        fault_tolerance=parsed.fault_tolerance,
        stops_at_gate=parsed.gate is not None and parsed.gate.on_failure == "stop",
    )
