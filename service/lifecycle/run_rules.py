"""What the state machine must know of a run's configuration: its retries, its deadlines, its gate."""

from dataclasses import dataclass, field

from service.config.policies import RetrySettings, StageTimeouts
from service.config.run import RunConfig


@dataclass(frozen=True)
class RunRules:
    """The defaults are those of a run that says nothing."""

    retry: RetrySettings = field(default_factory=RetrySettings)
    timeouts: StageTimeouts = field(default_factory=StageTimeouts)
    stops_at_gate: bool = False
    """Whether a student that is not promoted ends the run."""


def rules_of(config: str) -> RunRules:
    """The rules of a run's configuration, as JSON."""
    parsed = RunConfig.model_validate_json(config)
    return RunRules(
        retry=parsed.retry,
        timeouts=StageTimeouts(
            schedule_timeout_seconds=parsed.schedule_timeout_seconds,
            stall_timeout_seconds=parsed.stall_timeout_seconds,
        ),
        stops_at_gate=parsed.gate is not None and parsed.gate.on_failure == "stop",
    )
