"""The form that a browser gets in the place of a page while nobody is logged in. It needs no script and no file."""

import base64
import hashlib
import html
import re

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

SESSION_COOKIE = "noisy_student_session"
MAX_FORM_BYTES = 16_384
"""Of whoever has shown no credential yet."""

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;display:grid;place-items:center;min-height:90vh;margin:0}"
    "form{display:grid;gap:.75rem;width:min(26rem,90vw)}input,button{font:inherit;padding:.5rem}"
    "p{color:#b00020;margin:0}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "WWW-Authenticate": "Bearer",
}
_PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Noisy Student · log in</title>
    <style>{style}</style>
  </head>
  <body>
    <form method="post" action="/ui/login">
      <h1>Noisy Student</h1>
      {complaint}
      <label for="key">API key</label>
      <input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
      <input name="next" type="hidden" value="{target}">
      <button>Log in</button>
    </form>
  </body>
</html>
"""
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer, in a browser."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def login_page(target: str, complaint: str = "") -> Response:
    """Answers 401 with the form; whoever logs in comes back to `target`."""
    shown = f'<p role="alert">{html.escape(complaint)}</p>' if complaint else ""
    page = _PAGE.format(style=_STYLE, complaint=shown, target=html.escape(own_path(target)))
    return HTMLResponse(page, status_code=401, headers=_HEADERS)


def own_path(target: str) -> str:
    """`target` if it is a path on this server, else `/`: a login must not lead elsewhere."""
    return target if _OWN_PATH.fullmatch(target) else "/"
