"""What a stage's processes are told of logs and traces, and of the request that began its run."""

from typing import Literal

from pydantic import Field

from workers.specs.base import Frozen

LogFormat = Literal["plain", "json"]


class Telemetry(Frozen):
    """It names no secret: headers for the collector are in the environment, as OpenTelemetry defines them."""

    log_format: LogFormat = "plain"
    request_id: str | None = Field(default=None, max_length=100)
    """The request that created the run."""
    otlp_endpoint: str | None = Field(default=None, max_length=2048)
    """The collector's base URL; None: no traces."""
    traceparent: str | None = Field(default=None, max_length=100)
    """The span that submitted the stage, in the form of W3C Trace Context."""
