"""The outermost ASGI middleware, which counts and times all responses, including those to refused requests."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.route_scopes import POLICY
from service.metrics.requests import RequestFigures

_NO_ROUTE = "none"
"""The label for unknown paths, which would otherwise make a series each."""
_FAULT = 500


class CountedRequests:
    """Counts responses, and times them until they start: an event stream lasts as long as its reader stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at = time.perf_counter()
        figures: RequestFigures = scope["app"].state.services.request_figures
        has_begun = False

        def count(status: int) -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                figures.answered(scope["method"], route_of(scope), status, time.perf_counter() - began_at)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            count(_FAULT)  # a handler further out makes the response
            raise


def route_of(scope: Scope) -> str:
    """The template of the route that handled the request, or would have handled a refused one."""
    route = scope.get("route")
    return getattr(route, "path", None) or POLICY.template_of(scope["path"]) or _NO_ROUTE
