"""Logging in to the web page with an API key, and out again."""

from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api.access.admission import address_of, audited_request
from api.access.login_page import SESSION_COOKIE, login_page, own_path
from api.access.threads import in_access_thread
from service.errors import Unauthenticated

MAX_FORM_BYTES = 16_384

router = APIRouter(include_in_schema=False)


@router.post("/ui/login")
async def log_in(request: Request) -> Response:
    """Takes the form's `key`, and sets the cookie of a new session."""
    form = await _form(request)
    target = own_path(form.get("next", ["/"])[0])
    services, address = request.app.state.services, address_of(request)
    try:
        principal, token = await in_access_thread(services.gatekeeper.log_in, form.get("key", [""])[0].strip(), address)
    except Unauthenticated as refusal:
        return login_page(target, str(refusal))
    entry = await in_access_thread(services.audit.begin, audited_request(request, principal))
    await in_access_thread(services.audit.finish, entry, 303)
    response = RedirectResponse(target, status_code=303)
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(services.gatekeeper.sessions.lifetime_seconds),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


async def _form(request: Request) -> dict[str, list[str]]:
    """The fields by name; none where there are more than the form has, or more than its fields can hold."""
    body = await request.body()
    try:
        return parse_qs(body.decode(), max_num_fields=10) if len(body) <= MAX_FORM_BYTES else {}
    except ValueError:
        return {}


@router.post("/ui/logout")
async def log_out(request: Request) -> Response:
    """Ends the session, here and in the browser."""
    token = request.cookies.get(SESSION_COOKIE)
    if token is not None:
        await in_access_thread(request.app.state.services.gatekeeper.sessions.close, token)
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return response
