"""The web page: HTML, CSS and JavaScript that polls the REST API."""

import secrets
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from api.pages import login
from api.templates import render

_FOLDER = Path(__file__).parent
_HEADERS = {
    # Nothing from elsewhere runs or loads, and no inline script does.
    "Content-Security-Policy": "default-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # not `no-referrer`: forms would be sent with `Origin: null`
    "Cache-Control": "no-cache",
}


_SWAGGER = "/ui/swagger"
"""Swagger UI's files, which a package brings along: the page works without a network."""


def add_pages(app: FastAPI) -> None:
    """Serves the list of runs at /, one run at /ui/runs/ID, what both load below /ui/static, the login, and /docs."""
    app.include_router(login.router)
    app.mount("/ui/static", StaticFiles(directory=_FOLDER / "static"), name="static")
    app.mount(_SWAGGER, StaticFiles(packages=[("fastapi_offline", "static")]), name="swagger")
    app.add_api_route("/", _runs_page, include_in_schema=False)
    app.add_api_route("/ui/runs/{run_id}", _run_page, include_in_schema=False)
    app.add_api_route("/docs", _docs_page, include_in_schema=False)


async def _runs_page() -> HTMLResponse:
    return HTMLResponse(render("runs.html"), headers=_HEADERS)


async def _run_page(run_id: str) -> HTMLResponse:
    # The page reads the id from its own address; whether there is such a run, the REST API tells it.
    return HTMLResponse(render("run.html"), headers=_HEADERS)


async def _docs_page() -> HTMLResponse:
    # The one script in the page is let in by a number that nobody else knows; Swagger's own comes from here.
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}' 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    page = render("rest.html", nonce=nonce, swagger=_SWAGGER)
    return HTMLResponse(page, headers={**_HEADERS, "Content-Security-Policy": policy})
