"""OpenTelemetry traces, sent by OTLP over HTTP. Without `start_tracing` a span costs nothing and is nowhere.

Headers, sampling and batches follow OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_HEADERS:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:  # processes without traces import none of it
    from opentelemetry.sdk.trace import TracerProvider

_SEND_SECONDS = 5.0
"""How long one batch may take, with what is tried again. The end of a process waits for the last one."""
_HEADER = "traceparent"
_W3C = TraceContextTextMapPropagator()
_provider: "TracerProvider | None" = None


def start_tracing(otlp_endpoint: str | None, component: str) -> None:
    """Sends this process's spans to the collector from now on, in batches and from a thread of their own.

    Does nothing without a collector.
    """
    global _provider
    if otlp_endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {"service.name": f"noisy-student-{component}", "service.version": version("noisy-student")}
    _provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces", timeout=_SEND_SECONDS)
    _provider.add_span_processor(BatchSpanProcessor(exporter))


def stop_tracing() -> None:
    """Sends what there is, for at most some seconds, and ends tracing in this process."""
    global _provider
    if _provider is not None:
        _provider.shutdown()
        _provider = None


@contextmanager
def span(
    name: str,
    parent: str | None = None,
    attributes: Mapping[str, str | int | None] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    started_at: float | None = None,
) -> Iterator[Span]:
    """A span around the `with` block; an exception that leaves the block is recorded in it.

    `parent` is a traceparent; None: the current span. `started_at` is in Unix seconds; None: now. Attributes of None
    are left out.
    """
    if _provider is None:
        yield INVALID_SPAN
        return
    with _provider.get_tracer("noisy_student").start_as_current_span(
        name,
        context=None if parent is None else _W3C.extract({_HEADER: parent}),
        kind=kind,
        attributes={key: value for key, value in (attributes or {}).items() if value is not None},
        start_time=None if started_at is None else nanoseconds(started_at),
    ) as found:
        yield found


def past_span(name: str, started_at: float, ended_at: float) -> None:
    """Adds a span of the past below the current one. Times are in Unix seconds."""
    if _provider is not None:
        tracer = _provider.get_tracer("noisy_student")
        tracer.start_span(name, start_time=nanoseconds(started_at)).end(nanoseconds(ended_at))


def current_traceparent() -> str | None:
    """The current span in the form of W3C Trace Context (https://www.w3.org/TR/trace-context/); None without one."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get(_HEADER)


def nanoseconds(unix_seconds: float) -> int:
    """OpenTelemetry's unit of time."""
    return int(unix_seconds * 1e9)
