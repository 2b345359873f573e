"""ASGI middleware that admits every request before it reaches a route, and records every change in the audit log."""

import logging
import re
import secrets
from contextlib import nullcontext
from http import HTTPStatus

import anyio
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.admission import (
    audited_request,
    check_allowed,
    check_path,
    check_sender,
    check_where_from,
    identify,
    is_open,
    recall,
)
from api.access.body_limit import BodyTooLarge, limited
from api.access.login_page import MAX_FORM_BYTES, login_page, wants_page
from api.access.request_origin import SAFE_METHODS
from api.access.route_scopes import Undeclared
from api.access.threads import in_access_thread
from api.dependencies import services_of
from api.error_responses import path_of, problem, service_problem
from service.access.audit import AuditedRequest, AuditLog
from service.errors import DatabaseUnavailable, ServiceError, Unauthenticated
from service.store.visibility import acting_as
from workers.telemetry.logs import begin_log_context

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Responses tell of images, models and keys. Pages and what they load set their own header.
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # `no-referrer` would make forms send `Origin: null`
    # A response is data. Pages set their own policy.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

_ONLY_TLS = "max-age=31536000"


class AccessMiddleware:
    """Uses the services in `app.state.services`, and sets `request.state.principal` and `.request_id` for routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # this service has none
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            request = Request(scope, receive)
            request.state.request_id = _request_id(request)
            begin_log_context(request_id=request.state.request_id)
            await self._answer(request, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        services = services_of(request)
        send = _with_headers(send, request)
        try:
            principal = None
            if not is_open(request):
                check_where_from(request, services.settings.access)
                principal = recall(request, services.gatekeeper)
                if principal is None:
                    principal = await in_access_thread(identify, request, services.gatekeeper)
        except ServiceError as refusal:
            await _refusal(request, refusal)(request.scope, receive, send)
            return
        request.state.principal = principal
        record = None
        try:
            check_path(request)
            if principal is not None and request.method not in SAFE_METHODS:
                record = await _Record.begin(services.audit, audited_request(request, principal), send)
                send = record.send
            check_sender(request, services.settings.access)
            if principal is not None:
                check_allowed(request, principal)
            most = services.settings.server.max_body_bytes
            receive = limited(receive, request, most if principal is not None else min(most, MAX_FORM_BYTES))
        except (ServiceError, Undeclared, BodyTooLarge) as refusal:
            await _refusal(request, refusal)(request.scope, receive, send)
            return
        try:
            with nullcontext() if principal is None else acting_as(principal.subject, principal.projects):
                await self._app(request.scope, receive, send)
        except Exception:
            if record is not None:
                await record.finish(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise


class _Record:
    """One entry of the audit log: it exists before the change, and is complete before the caller gets a response."""

    def __init__(self, audit: AuditLog, entry_id: int, send: Send) -> None:
        self._audit = audit
        self._entry_id = entry_id
        self._send = send
        self._finished = False

    @classmethod
    async def begin(cls, audit: AuditLog, request: AuditedRequest, send: Send) -> "_Record":
        return cls(audit, await in_access_thread(audit.begin, request), send)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            location = MutableHeaders(raw=list(message.get("headers", ()))).get("location")
            await self.finish(message["status"], location)
        await self._send(message)

    async def finish(self, status: int, location: str | None = None) -> None:
        if self._finished:
            return
        self._finished = True
        try:
            with anyio.CancelScope(shield=True):  # record the outcome even if the caller hangs up
                await in_access_thread(self._audit.finish, self._entry_id, status, location)
        except DatabaseUnavailable as error:
            # The request has been carried out or refused; its response is worth more to the caller than this column.
            log.error("audit entry %d stays without its status, %d: %s", self._entry_id, status, error)


def _refusal(request: Request, refusal: ServiceError | Undeclared | BodyTooLarge) -> Response:
    if isinstance(refusal, BodyTooLarge):
        return problem(request, refusal.status_code, "content-too-large", refusal.detail)
    if isinstance(refusal, Undeclared):
        if not refusal.methods:
            return problem(request, 404, "not-found", f"there is nothing at {path_of(request)}")
        detail = f"{request.method} does not work on {path_of(request)}"
        response = problem(request, 405, "method-not-allowed", detail)
        response.headers["Allow"] = ", ".join(sorted(refusal.methods))
        return response
    if isinstance(refusal, Unauthenticated) and wants_page(request):
        query = f"?{request.url.query}" if request.url.query else ""
        return login_page(f"{request.url.path}{query}")
    return service_problem(request, refusal)


def _request_id(request: Request) -> str:
    """The caller's request id, if it is harmless, so that both sides' logs can be compared; else a new one."""
    given = request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _with_headers(send: Send, request: Request) -> Send:
    security = dict(_SECURITY_HEADERS)
    if request.url.scheme == "https":  # as uvicorn learns from its own TLS or from a trusted proxy
        security["Strict-Transport-Security"] = _ONLY_TLS
    if request.scope["path"].startswith("/ui/static/"):
        security["Cache-Control"] = "no-cache"  # browsers keep it, and revalidate by its ETag

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = request.state.request_id
            for name, value in security.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
