"""Finds out who sends a request and whether they may. Raises exceptions that the middleware turns into responses."""

from starlette.requests import Request

from api.access.login_page import SESSION_COOKIE
from api.access.request_origin import foreign_page, wrong_host
from api.access.route_scopes import OPEN, POLICY, Undeclared
from service.access.audit import AuditedRequest
from service.access.gatekeeper import Gatekeeper, Watch
from service.access.principal import Principal
from service.config.settings.groups import AccessSettings
from service.errors import Forbidden
from service.settings import is_loopback
from workers.specs.text import shown

UNKNOWN_ADDRESS = "unknown"
_LONGEST_ADDRESS = 100
"""An IPv6 address with its zone has about 60 characters at most."""


def is_open(request: Request) -> bool:
    """Whether the route works without a credential."""
    return (request.method, request.scope["path"]) in OPEN


def check_where_from(request: Request, access: AccessSettings) -> None:
    """Raises Forbidden for a foreign Host header, and for callers on other machines if authentication is off."""
    reason = wrong_host(request.headers, access.allowed_hosts, any_host=access.authentication)
    if reason is not None:
        raise Forbidden(reason)
    if not access.authentication and _is_elsewhere(address_of(request)):
        # `python -m api` refuses to start if others could reach it; this holds however the server was started.
        raise Forbidden("without authentication this service answers to its own machine only")


def recall(request: Request, gatekeeper: Gatekeeper) -> Principal | None:
    """The caller, if it is known without reading the database; else None. Raises TooManyRequests."""
    return gatekeeper.recall(request.headers.get("authorization"), address_of(request))


def identify(request: Request, gatekeeper: Gatekeeper) -> Principal:
    """The caller. Reads the database, so call it in a thread. Raises Unauthenticated, Forbidden, TooManyRequests."""
    return gatekeeper.identify(*_credentials(request), address_of(request))


def watch_caller(request: Request, gatekeeper: Gatekeeper) -> Watch:
    """Tells an endless response whether its caller, who has been admitted, may still receive it."""
    return gatekeeper.watch(request.state.principal, *_credentials(request))


def check_path(request: Request) -> None:
    """Raises Undeclared for a path with a NUL. No route has one, and PostgreSQL could not store it in the audit log."""
    if "\0" in request.scope["path"]:
        raise Undeclared(frozenset())


def check_allowed(request: Request, principal: Principal) -> None:
    """Raises Undeclared for a route that nobody may use, and Forbidden if the caller's scope is too small."""
    needed = POLICY.needed_scope(request.method, request.scope["path"])
    if needed is not None and not principal.scope.includes(needed):
        raise Forbidden(f"this needs the scope {needed}; yours is {principal.scope}")


def check_sender(request: Request, access: AccessSettings) -> None:
    """Raises Forbidden for a change that a page of another site made the browser send."""
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return  # unlike Basic (a URL with a password), no page can make a browser send a bearer token to another site
    reason = foreign_page(request.method, request.headers, request.url.scheme, access.allowed_hosts)
    if reason is not None:
        raise Forbidden(reason)


def address_of(request: Request) -> str:
    """The caller's network address, or that of the last proxy that uvicorn does not trust.

    It may be any text that a proxy let through, and it is a key for counting and storing. So its length is bounded.
    """
    return shown(request.client.host[:_LONGEST_ADDRESS]) if request.client else UNKNOWN_ADDRESS


def audited_request(request: Request, principal: Principal) -> AuditedRequest:
    """The request as the audit log records it."""
    projects = principal.projects or frozenset()
    return AuditedRequest(
        subject=principal.subject,
        kind=principal.kind,
        project=next(iter(projects)) if len(projects) == 1 else None,
        address=address_of(request),
        request_id=request.state.request_id,
        method=request.method,
        path=request.scope["path"],
    )


def _credentials(request: Request) -> tuple[str | None, str | None]:
    return request.headers.get("authorization"), request.cookies.get(SESSION_COOKIE)


def _is_elsewhere(address: str) -> bool:
    """Whether the address is another machine's. A name belongs to a local socket or to a test."""
    return ("." in address or ":" in address) and not is_loopback(address)
