"""ASGI middleware that makes a span of each request, below the caller's own if it sends a `traceparent`."""

from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.counted_requests import route_of
from workers.telemetry.traces import span

_PROBES = ("/healthz", "/readyz")
_FAULT = 500


class TracedRequests:
    """The span lasts until the response is complete. Requests of probes have none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        parent = Headers(scope=scope).get("traceparent")
        attributes = {"http.request.method": scope["method"]}
        with span(scope["method"], parent, attributes, SpanKind.SERVER) as request:

            async def traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _describe(request, scope, message["status"])
                await send(message)

            await self._app(scope, receive, traced)


def _describe(request: Span, scope: Scope, status: int) -> None:
    route = route_of(scope)
    request.update_name(f"{scope['method']} {route}")
    request.set_attribute("http.route", route)
    request.set_attribute("http.response.status_code", status)
    request.set_attribute("noisy_student.request_id", scope["state"]["request_id"])
    if status >= _FAULT:
        request.set_status(Status(StatusCode.ERROR))
