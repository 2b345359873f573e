"""/ray/...: Ray's dashboard, read-only, for callers who may see all projects. Ray itself stays behind its token.

This module lists the paths that it passes on, not those that it blocks: some of Ray's GET routes profile processes or
hand out packages, and later versions may add others.
"""

import re

import httpx
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from starlette.background import BackgroundTask

from api.dependencies import Caller, RaySettingsOf
from service.config.settings.groups import RaySettings
from service.errors import Forbidden, NotFound, RayUnavailable
from service.ray_client.jobs import refuse_anothers

router = APIRouter(prefix="/ray", include_in_schema=False)

_PASSED_ON = re.compile(
    r"""
    | favicon\.ico | timezone | usage_stats_enabled | cluster_id | nodes(/[0-9a-f]+)? | events
    | static/[\w./-]+ | speedscope-[\w./-]+
    | logical/actors(/[0-9a-f]+)?
    | api/(version | ray/version | gcs_healthz | profiling_enabled | cluster_status | component_activities
          | grafana_health | prometheus_health | serve/applications/ | train/v2/runs(/v1)? | data/datasets/[\w-]+)
    | api/jobs/([\w.-]+(/logs)?)?
    | api/v0/(actors | jobs | nodes | placement_groups | workers | tasks | objects | cluster_events | platform_events
             | cluster_metadata | runtime_env_redaction | logs | logs/file | (tasks|actors|objects)/summarize
             | tasks/timeline)
    """,
    re.VERBOSE,
)
_REQUEST_HEADERS = ("accept", "accept-encoding", "accept-language", "if-modified-since", "if-none-match", "range")
_ANSWER_HEADERS = frozenset(
    {"content-type", "content-length", "content-encoding", "content-range", "content-disposition", "accept-ranges"}
    | {"cache-control", "etag", "last-modified", "vary"}
)
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+")
_TIMEOUT = httpx.Timeout(60.0, connect=3.0)


def dashboard_client() -> httpx.AsyncClient:
    """The HTTP client for the head, which is within the cluster's network. It follows no redirect and uses no proxy."""
    return httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False)


@router.get("")
async def to_dashboard() -> Response:
    """Redirects to /ray/. The front end's paths are relative, so the slash matters."""
    return RedirectResponse("/ray/")


@router.api_route("/{path:path}", methods=["GET", "HEAD"])
async def read_dashboard(path: str, request: Request, caller: Caller, ray: RaySettingsOf) -> Response:
    """Forwards one GET or HEAD with Ray's token and without the caller's credentials, and streams the response."""
    if caller.projects is not None:
        raise Forbidden("Ray's dashboard shows the jobs of all projects; yours are limited")
    if path == "api/authentication_mode":
        return JSONResponse({"authentication_mode": "disabled"})  # the front end needs no token: this service adds it
    if not _PASSED_ON.fullmatch(path) or ".." in path:
        raise NotFound("part of Ray's dashboard that is shown here", path[:200])
    answer = await _ask(request.app.state.dashboard_client, ray, path, request)
    headers = {name: value for name, value in answer.headers.items() if name in _ANSWER_HEADERS}
    headers["Content-Security-Policy"] = _policy(request, ray.grafana_url)
    return StreamingResponse(
        answer.aiter_raw(), answer.status_code, headers=headers, background=BackgroundTask(answer.aclose)
    )


async def _ask(client: httpx.AsyncClient, ray: RaySettings, path: str, request: Request) -> httpx.Response:
    headers = {name: value for name in _REQUEST_HEADERS if (value := request.headers.get(name)) is not None}
    if ray.auth_token is not None:
        headers["Authorization"] = f"Bearer {ray.auth_token.get_secret_value()}"
    url = httpx.URL(f"{ray.jobs_url}/{path}").copy_with(query=request.scope["query_string"])
    asked = client.build_request(request.method, url, headers=headers)
    try:
        if ray.is_own:
            refuse_anothers(asked)
        return await client.send(asked, stream=True)
    except httpx.HTTPError as error:
        raise RayUnavailable(f"Ray's dashboard does not answer: {type(error).__name__}") from error


def _policy(request: Request, grafana_url: str) -> str:
    """The policy for the dashboard's scripts, which run on this service's origin: they reach only paths below /ray/.

    Frames may come from Grafana, if the settings name one, and from nowhere else.
    """
    host = request.headers.get("host", "")
    own = f"{request.url.scheme}://{host}/ray/" if _HOST.fullmatch(host) else "'none'"
    frames = f"frame-src {httpx.URL(grafana_url).copy_with(raw_path=b'/')}; " if grafana_url else ""
    return (
        f"default-src 'none'; script-src {own}; connect-src {own}; style-src {own} 'unsafe-inline'; "
        f"img-src {own} data:; font-src {own} data:; base-uri 'none'; form-action 'none'; "
        f"{frames}frame-ancestors 'none'"
    )
