"""The problem documents that routes may return, for the OpenAPI document."""

from http import HTTPStatus
from typing import Any

from service.views.problem import PROBLEM_MEDIA_TYPE, FieldError, Problem, problem_type

Answers = dict[int | str, dict[str, Any]]
"""The `responses` of a route, as FastAPI takes them: OpenAPI response objects by status."""

_EXAMPLES: dict[int, tuple[str, str, list[FieldError]]] = {
    400: ("malformed-request", "the body is not JSON: expected value at line 1 column 1", []),
    401: ("unauthorized", "the API key is unknown, expired or revoked", []),
    403: ("forbidden", "this needs the scope operator; yours is viewer", []),
    404: ("not-found", "there is no run 'run-0000000000'", []),
    409: ("conflict", "run run-3f9c2a71d0 is succeeded: only a failed or cancelled run can be retried", []),
    413: ("content-too-large", "Content Too Large", []),
    415: ("unsupported-media-type", "send the body as JSON, with Content-Type: application/json", []),
    422: (
        "invalid-request",
        "student_recipe.noise.dropout: Input should be less than 1",
        [FieldError(field="student_recipe.noise.dropout", message="Input should be less than 1")],
    ),
    429: ("too-many-requests", "too many requests; the header Retry-After says when to try again", []),
    503: ("database-unavailable", "the database does not answer; the service's log says why", []),
}


def problem_responses(*statuses: int) -> Answers:
    """The `responses` for the problem documents that a route may return, each with an example."""
    return {status: _documented(status) for status in statuses}


def _documented(status: int) -> dict[str, Any]:
    slug, detail, errors = _EXAMPLES[status]
    title = HTTPStatus(status).phrase
    example = Problem(
        type=problem_type(slug), title=title, status=status, detail=detail, instance="/runs", errors=errors
    )
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example.model_dump()}
    documented: dict[str, Any] = {"description": title, "content": {PROBLEM_MEDIA_TYPE: content}}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        documented["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return documented
