"""Turns every error into a problem document: the service's errors, invalid requests, unknown paths and exceptions."""

import logging
import math
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.errors import (
    ArtifactStoreUnavailable,
    Conflict,
    DatabaseUnavailable,
    Forbidden,
    InvalidRequest,
    NotFound,
    RayUnavailable,
    RegistrationBusy,
    SecretsUnavailable,
    ServiceError,
    TooManyRequests,
    Unauthenticated,
)
from service.views.problem import PROBLEM_MEDIA_TYPE, FieldError, Problem, problem_type
from workers.specs.text import shown

log = logging.getLogger(__name__)

_SERVICE_ERRORS: dict[type[ServiceError], tuple[int, str]] = {
    Unauthenticated: (401, "unauthorized"),
    Forbidden: (403, "forbidden"),
    NotFound: (404, "not-found"),
    Conflict: (409, "conflict"),
    InvalidRequest: (422, "invalid-request"),
    TooManyRequests: (429, "too-many-requests"),
    RayUnavailable: (503, "ray-unavailable"),
    DatabaseUnavailable: (503, "database-unavailable"),
    SecretsUnavailable: (503, "secrets-unavailable"),
    ArtifactStoreUnavailable: (503, "artifact-store-unavailable"),
    RegistrationBusy: (503, "registration-busy"),
}
RETRY_AFTER_SECONDS = 5
"""The Retry-After of a 503: about how long a restart of the missing part takes."""

_LONGEST_FIELD = 300
_LONGEST_MESSAGE = 1000
_LONGEST_PATH = 500

# FastAPI prefixes a value's path with where it came from; a reader of the error needs only the path.
_PLACES = {"body", "query", "path", "header"}


def add_error_responses(app: FastAPI) -> None:
    """Registers the exception handlers."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def status_of(error: ServiceError) -> int:
    """The HTTP status for the error."""
    return _status_and_slug(error)[0]


def service_problem(request: Request, error: ServiceError) -> JSONResponse:
    """The response for an error of the service."""
    status, slug = _status_and_slug(error)
    if isinstance(error, DatabaseUnavailable):
        log.warning("%s %s: %s", request.method, request.url.path, error)
        return problem(request, status, slug, "the database does not answer; the service's log says why")
    if isinstance(error, InvalidRequest):
        wrong = FieldError(field=error.field, message=error.message)
        return problem(request, status, slug, _sentence(wrong), [wrong])
    response = problem(request, status, slug, str(error))
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    return response


def _service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    return service_problem(request, error)


def _status_and_slug(error: ServiceError) -> tuple[int, str]:
    return next(
        (answer for kind, answer in _SERVICE_ERRORS.items() if isinstance(error, kind)), (500, "internal-error")
    )


def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    details = error.errors()
    first = details[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        return problem(request, 400, "malformed-request", f"the body is not JSON: {reason}")
    if first["type"] == "unsupported_media_type":
        return problem(request, 415, "unsupported-media-type", first["msg"])
    errors = [_field_error(detail) for detail in details]
    return problem(request, 422, "invalid-request", "; ".join(map(_sentence, errors)), errors)


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = error.status_code
    slug = HTTPStatus(status).phrase.lower().replace(" ", "-")
    detail = {
        404: f"there is nothing at {path_of(request)}",
        405: f"{request.method} does not work on {path_of(request)}",
    }.get(status, error.detail)
    response = problem(request, status, slug, detail)
    response.headers.update(error.headers or {})
    return response


def _unexpected(request: Request, _error: Exception) -> JSONResponse:
    # The server logs the traceback; the response reveals nothing internal. No middleware sees it, so it gets its header
    # here.
    response = problem(request, 500, "internal-error", "the service failed; its log says why")
    response.headers["X-Request-ID"] = getattr(request.state, "request_id", "")
    return response


def _field_error(detail: dict[str, Any]) -> FieldError:
    path = list(detail["loc"])
    if path and path[0] in _PLACES:
        path = path[1:]
    # A rule that spans several fields names the one to blame in its context.
    blamed = detail.get("ctx", {}).get("field")
    # Pydantic puts the variant of a union into the path. Ours are in parentheses.
    path = [part for part in path if not re.fullmatch(r"\(.*\)", str(part))]
    field = ".".join(map(str, [*path, blamed] if blamed else path))
    message = str(detail["msg"]).removeprefix("Value error, ")
    return FieldError(field=_quoted(field, _LONGEST_FIELD), message=_quoted(message, _LONGEST_MESSAGE))


def _quoted(text: str, longest: int) -> str:
    """The caller's text, safe to send back: shortened, with unfit characters escaped."""
    return shown(text if len(text) <= longest else f"{text[:longest]}...")


def _sentence(error: FieldError) -> str:
    return f"{error.field}: {error.message}" if error.field else error.message


def path_of(request: Request) -> str:
    """The path of the request, safe to send back."""
    return _quoted(request.scope["path"], _LONGEST_PATH)


def problem(request: Request, status: int, slug: str, detail: str, errors: Sequence[FieldError] = ()) -> JSONResponse:
    """A response with a problem document (RFC 9457)."""
    document = Problem(
        type=problem_type(slug),
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=path_of(request),
        errors=list(errors),
    )
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return JSONResponse(document.model_dump(), status_code=status, headers=headers, media_type=PROBLEM_MEDIA_TYPE)
