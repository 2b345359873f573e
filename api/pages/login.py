"""Login to the web page with an API key or a single-use link, and logout."""

from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from api.access.admission import address_of, audited_request
from api.access.login_page import SESSION_COOKIE, login_page, own_path
from api.access.threads import in_access_thread
from api.dependencies import Caller, services_of
from service.access.principal import Principal
from service.errors import Forbidden, Unauthenticated

router = APIRouter(include_in_schema=False)
_NOT_KEPT = {"Cache-Control": "no-store"}


@router.post("/ui/login")
async def log_in(request: Request) -> Response:
    """Checks the form's `key` and sets the cookie of a new session."""
    form = await _form(request)
    target = own_path(form.get("next", ["/"])[0])
    services, address = services_of(request), address_of(request)
    try:
        principal, token = await in_access_thread(services.gatekeeper.log_in, form.get("key", [""])[0].strip(), address)
    except Unauthenticated as refusal:
        return login_page(target, str(refusal))
    return await _let_in(request, principal, token, target)


@router.post("/ui/links")
async def make_link(request: Request, caller: Caller, next: str = "/") -> Response:
    """Returns a path of this service that logs a browser in as the caller, once and within a short time."""
    if caller.kind != "key":
        # Sessions may not make links either: a cookie stolen for a moment would yield new sessions forever.
        raise Forbidden("a link stands for an API key; yours is another credential")
    ticket = await in_access_thread(services_of(request).gatekeeper.links.make, caller.subject)
    query = urlencode({"ticket": ticket, "next": own_path(next)})
    return JSONResponse({"path": f"/ui/enter?{query}"}, status_code=201, headers=_NOT_KEPT)


@router.get("/ui/enter")
async def enter(request: Request, ticket: str = "", next: str = "/") -> Response:
    """Checks the ticket of such a link and sets the cookie of a new session."""
    gatekeeper, target = services_of(request).gatekeeper, own_path(next)
    try:
        principal, token = await in_access_thread(gatekeeper.enter, ticket, address_of(request))
    except Unauthenticated as refusal:
        return login_page(target, str(refusal))
    return await _let_in(request, principal, token, target)


async def _form(request: Request) -> dict[str, list[str]]:
    """The values of the form's fields by name; empty if there are more fields than the form has."""
    body = await request.body()
    try:
        return parse_qs(body.decode(), max_num_fields=10)
    except ValueError:
        return {}


@router.post("/ui/logout")
async def log_out(request: Request) -> Response:
    """Ends the session on the server and in the browser."""
    token = request.cookies.get(SESSION_COOKIE)
    if token is not None:
        await in_access_thread(services_of(request).gatekeeper.sessions.close, token)
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return response


async def _let_in(request: Request, principal: Principal, token: str, target: str) -> Response:
    services = services_of(request)
    entry = await in_access_thread(services.audit.begin, audited_request(request, principal))
    await in_access_thread(services.audit.finish, entry, 303)
    response = RedirectResponse(target, status_code=303, headers=_NOT_KEPT)
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(services.gatekeeper.sessions.lifetime_seconds),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response
