"""The login form, which a browser gets instead of a page until someone logs in. It needs no script and no file."""

import base64
import hashlib
import re

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.templates import render

SESSION_COOKIE = "noisy_student_session"
MAX_FORM_BYTES = 16_384
"""Small, because the sender has not shown a credential yet."""

_STYLE_HASH = base64.b64encode(hashlib.sha256(render("login.css").encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "WWW-Authenticate": "Bearer",
}
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def wants_page(request: Request) -> bool:
    """Whether a person will look at the response in a browser."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def login_page(target: str, complaint: str = "") -> Response:
    """A 401 response with the form. After the login, the browser returns to `target`."""
    page = render("login.html", target=own_path(target), complaint=complaint)
    return HTMLResponse(page, status_code=401, headers=_HEADERS)


def own_path(target: str) -> str:
    """`target` if it is a path on this server, else `/`. A login must not redirect elsewhere."""
    return target if _OWN_PATH.fullmatch(target) else "/"
