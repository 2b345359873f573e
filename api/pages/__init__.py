"""The web page: static HTML, CSS and JavaScript that polls the REST API."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

_FOLDER = Path(__file__).parent
_HEADERS = {
    # Nothing from elsewhere runs or loads, and no inline script does.
    "Content-Security-Policy": "default-src 'self'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_pages(app: FastAPI) -> None:
    """Serves the list of runs at /, one run at /ui/runs/ID, and what both load below /ui/static."""
    app.mount("/ui/static", StaticFiles(directory=_FOLDER / "static"), name="static")
    app.add_api_route("/", _runs_page, include_in_schema=False)
    app.add_api_route("/ui/runs/{run_id}", _run_page, include_in_schema=False)


async def _runs_page() -> FileResponse:
    return FileResponse(_FOLDER / "runs.html", headers=_HEADERS)


async def _run_page(run_id: str) -> FileResponse:
    # The page reads the id from its own address; whether there is such a run, the REST API tells it.
    return FileResponse(_FOLDER / "run.html", headers=_HEADERS)
