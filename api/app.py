"""The FastAPI application: routes, problem documents, the web page and OpenAPI."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from api.access.document import document_access
from api.access.middleware import AccessMiddleware
from api.compression import CompressedReads
from api.counted_requests import CountedRequests
from api.error_responses import add_error_responses
from api.pages import add_pages
from api.routes import (
    ablations,
    access,
    datasets,
    event_streams,
    generations,
    health,
    label_exports,
    lineage,
    models,
    plans,
    predictions,
    presets,
    projects,
    ray_dashboard,
    registrations,
    retention,
    review,
    runs,
    searches,
    stages,
    webhooks,
)
from api.routes.ray_dashboard import dashboard_client
from api.schemas.problem import problem_responses
from api.traced_requests import TracedRequests
from service.settings import Settings
from service.views.problem import Problem
from service.wiring import open_services
from workers.telemetry.traces import stop_tracing

_DESCRIPTION = """
Noisy Student Training on a Ray cluster: register labeled and unlabeled images, start a run of a teacher and
generations of students, watch it, and download the models.

Errors are problem documents (RFC 9457). Listings are paginated, newest first: pass `next_cursor` as `cursor`.
A POST that creates something accepts an `Idempotency-Key`: with one you can safely repeat it for a week.
"""
_TAGS = [
    {"name": "datasets", "description": "Registered, immutable image datasets."},
    {"name": "plans", "description": "Estimates of a run's cost before it starts."},
    {"name": "predictions", "description": "What trained models say about datasets."},
    {"name": "runs", "description": "Lines of teachers and students over one set of datasets."},
    {"name": "generations", "description": "Turns of the loop: label, select, train, evaluate."},
    {"name": "stages", "description": "Steps of a generation, their attempts (Ray jobs), metrics and logs."},
    {"name": "review", "description": "Pages of pseudo labels that are worth a look, and marks."},
    {"name": "searches", "description": "Ray Tune over the noise and the student's size."},
    {"name": "ablations", "description": "How much each part of the method contributes."},
    {"name": "models", "description": "The models that runs produced."},
    {"name": "projects", "description": "Device-hour quotas, and the queue of stages."},
    {"name": "access", "description": "API keys, the caller, and the audit log of changes."},
    {"name": "retention", "description": "Which artifacts are deleted and which are kept."},
    {"name": "events", "description": "Every change, as it happens."},
    {"name": "webhooks", "description": "Every change, sent to your own receivers."},
    {"name": "health", "description": "For load balancers and Kubernetes."},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application, for a database that is already migrated. It closes its connections at shutdown."""
    settings = settings or Settings()
    app = FastAPI(
        title="Noisy Student",
        version=version("noisy-student"),
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        lifespan=_lifespan,
        # Views contain request models (a run shows its configuration), so one schema serves both directions.
        separate_input_output_schemas=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.services = open_services(settings)
    app.add_middleware(CompressedReads)
    app.add_middleware(AccessMiddleware)
    if settings.tracing.otlp_endpoint is not None:
        app.add_middleware(TracedRequests)
    if settings.metrics.api_port is not None:
        app.add_middleware(CountedRequests)
    for routes in (
        datasets,
        plans,
        predictions,
        runs,
        generations,
        label_exports,
        stages,
        review,
        searches,
        ablations,
        models,
        registrations,
        lineage,
        presets,
        retention,
        event_streams,
        webhooks,
        projects,
        access,
    ):
        app.include_router(routes.router, responses=problem_responses(503))
    app.include_router(health.router)
    app.include_router(ray_dashboard.router)
    add_pages(app)
    add_error_responses(app)
    _document_problems(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with dashboard_client() as app.state.dashboard_client:
        yield
    app.state.services.close()
    stop_tracing()  # here, because uvicorn ends the process by the signal that it was stopped with


def _document_problems(app: FastAPI) -> None:
    """Adds the schema that all error responses refer to. FastAPI adds only the schemas of JSON responses."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                tags=app.openapi_tags,
                routes=app.routes,
                separate_input_output_schemas=False,
            )
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            definitions = problem.pop("$defs", {})
            document["components"]["schemas"] |= {**definitions, "Problem": problem}
            document_access(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's page "Extending OpenAPI" does it

    @app.get("/openapi.json", include_in_schema=False)
    def get_openapi_document() -> Response:
        return Response(document_bytes(), media_type="application/json")

    @cache
    def document_bytes() -> bytes:
        """The OpenAPI document, 400 kB, serialized once instead of at each request."""
        return json.dumps(openapi(), ensure_ascii=False, separators=(",", ":")).encode()
