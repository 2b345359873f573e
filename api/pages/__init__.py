"""The web page: HTML, CSS and JavaScript that polls the REST API."""

import secrets
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from api.pages import jobs, login
from api.pages.policy import PAGE_HEADERS
from api.templates import render

_FOLDER = Path(__file__).parent
_SWAGGER = "/ui/swagger"
"""The files of Swagger UI, from a Python package, so that the page works without a network."""


def add_pages(app: FastAPI) -> None:
    """Serves the list of runs at /, runs, their jobs and reviews below /ui/runs, /ui/static, the login, and /docs."""
    app.include_router(login.router)
    app.include_router(jobs.router)
    app.mount("/ui/static", StaticFiles(directory=_FOLDER / "static"), name="static")
    app.mount(_SWAGGER, StaticFiles(packages=[("fastapi_offline", "static")]), name="swagger")
    app.add_api_route("/", _runs_page, include_in_schema=False)
    app.add_api_route("/ui/runs/{run_id}", _run_page, include_in_schema=False)
    app.add_api_route("/ui/runs/{run_id}/generations/{generation}/review", _review_page, include_in_schema=False)
    app.add_api_route("/docs", _docs_page, include_in_schema=False)


async def _runs_page() -> HTMLResponse:
    return HTMLResponse(render("runs.html"), headers=PAGE_HEADERS)


async def _run_page(run_id: str) -> HTMLResponse:
    # The page reads the id from its own address; the REST API tells it whether that run exists.
    return HTMLResponse(render("run.html"), headers=PAGE_HEADERS)


async def _review_page(run_id: str, generation: int) -> HTMLResponse:
    # As above: its own address says which labels it shows.
    return HTMLResponse(render("review.html"), headers=PAGE_HEADERS)


async def _docs_page() -> HTMLResponse:
    # A nonce permits the page's only inline script. Swagger UI's script comes from this server.
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}' 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    page = render("rest.html", nonce=nonce, swagger=_SWAGGER)
    return HTMLResponse(page, headers={**PAGE_HEADERS, "Content-Security-Policy": policy})
