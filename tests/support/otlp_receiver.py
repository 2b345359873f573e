"""A collector for tests: a real HTTP server that takes OTLP and keeps the spans."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.served import served


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came over the wire; ids are in hexadecimal, times in nanoseconds since 1970."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    started_at: int
    ended_at: int
    has_failed: bool
    attributes: dict[str, str | int]


class OtlpReceiver(ThreadingHTTPServer):
    """Listens on a free port of loopback."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[ReceivedSpan] = []

    @property
    def url(self) -> str:
        """The base URL, as `tracing.otlp_endpoint` takes it."""
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, name: str) -> list[ReceivedSpan]:
        """The spans with this name."""
        return [span for span in self.spans if span.name == name]


class _Handler(BaseHTTPRequestHandler):
    server: OtlpReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/traces"
        self.server.spans.extend(_spans_of(ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def _spans_of(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for resource in request.resource_spans:
        (service,) = (each.value.string_value for each in resource.resource.attributes if each.key == "service.name")
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            yield ReceivedSpan(
                service=service,
                name=span.name,
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                started_at=span.start_time_unix_nano,
                ended_at=span.end_time_unix_nano,
                has_failed=span.status.code == span.status.STATUS_CODE_ERROR,
                attributes={each.key: each.value.string_value or each.value.int_value for each in span.attributes},
            )


@contextmanager
def receiving() -> Iterator[OtlpReceiver]:
    """Receives during the `with` block."""
    with served(OtlpReceiver()) as receiver:
        yield receiver
