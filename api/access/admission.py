"""Who a request is from, and whether they may make it. Raises what the middleware turns into an answer."""

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
"""An IPv6 address with its zone has some 60 characters at most."""


def is_open(request: Request) -> bool:
    """Whether the route needs no credential."""
    return (request.method, request.scope["path"]) in OPEN


def check_where_from(request: Request, access: AccessSettings) -> None:
    """Raises Forbidden for a host name that is not ours, and for another machine where anybody may do anything."""
    reason = wrong_host(request.headers, access.allowed_hosts, any_host=access.authentication)
    if reason is not None:
        raise Forbidden(reason)
    if not access.authentication and _is_elsewhere(address_of(request)):
        # However the server was started: `python -m api` refuses to start where others could reach it.
        raise Forbidden("without authentication this service answers to its own machine only")


def recall(request: Request, gatekeeper: Gatekeeper) -> Principal | None:
    """The caller, if that needs no look at the database. Raises TooManyRequests."""
    return gatekeeper.recall(request.headers.get("authorization"), address_of(request))


def identify(request: Request, gatekeeper: Gatekeeper) -> Principal:
    """The caller. Raises Unauthenticated, Forbidden, TooManyRequests. Reads the database: call it in a thread."""
    return gatekeeper.identify(*_credentials(request), address_of(request))


def watch_caller(request: Request, gatekeeper: Gatekeeper) -> Watch:
    """For an answer without end: whether its caller, who was let in, may still have it."""
    return gatekeeper.watch(request.state.principal, *_credentials(request))


def check_path(request: Request) -> None:
    """Raises Undeclared for a path with a NUL: there is nothing at it, and PostgreSQL could not even put on record
    that it was asked for."""
    if "\0" in request.scope["path"]:
        raise Undeclared(frozenset())


def check_allowed(request: Request, principal: Principal) -> None:
    """Raises Undeclared for a route that nobody may use, Forbidden where the caller's scope is too small."""
    needed = POLICY.needed_scope(request.method, request.scope["path"])
    if needed is not None and not principal.scope.includes(needed):
        raise Forbidden(f"this needs the scope {needed}; yours is {principal.scope}")


def check_sender(request: Request, access: AccessSettings) -> None:
    """Raises Forbidden for a change that a page of another site makes the browser send."""
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return  # no page can make a browser send it to another site; a Basic one it can, by a URL with a password
    reason = foreign_page(request.method, request.headers, request.url.scheme, access.allowed_hosts)
    if reason is not None:
        raise Forbidden(reason)


def address_of(request: Request) -> str:
    """The network address of the caller; of the last proxy that uvicorn does not trust, where there are any. It may be
    a text that a proxy has let through: bounded, for it is counted and stored by it."""
    return shown(request.client.host[:_LONGEST_ADDRESS]) if request.client else UNKNOWN_ADDRESS


def audited_request(request: Request, principal: Principal) -> AuditedRequest:
    """What the audit log says of it."""
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
    """Whether it is another machine's address. A name is a local socket's, or a test's."""
    return ("." in address or ":" in address) and not is_loopback(address)
