"""/ui/runs/.../job: leads to an attempt's job in Ray's dashboard, or shows what is left of it."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import AttemptNumber, Caller, Queries
from api.pages.policy import PAGE_HEADERS
from api.routes.stages import Stage
from api.templates import render

router = APIRouter(include_in_schema=False)


@router.get("/ui/runs/{run_id}/generations/{generation}/stages/{stage}/attempts/{attempt}/job")
def show_job(stage: Stage, attempt: AttemptNumber, queries: Queries, caller: Caller) -> Response:
    """Redirects to the job if Ray has it and the caller may see Ray's dashboard."""
    place = queries.find_job(stage, attempt, may_see_dashboard=caller.projects is None)
    if place.dashboard_url is not None:
        return RedirectResponse(place.dashboard_url, status_code=302)
    page = render(
        "job.html",
        run_id=stage.run_id,
        job_id=stage.submission_id(attempt),
        sentence=place.sentence,
        log="\n".join(place.lines),
    )
    return HTMLResponse(page, headers=PAGE_HEADERS)
