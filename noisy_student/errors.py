"""The exceptions that calls raise: one class per kind of refusal, each with the API's problem document."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.views.problem import FieldError, Problem  # pydantic, not needed before the first response

API_KEY_VARIABLE = "NOISY_STUDENT_API_KEY"
"""This hint suggests no command-line option: every process on a machine can see command lines."""


class ApiError(Exception):
    """The call did not succeed. The message is for people, with one line per invalid field."""


class Unreachable(ApiError):
    """Nothing responded: there was no connection, or no response in time."""


class UnexpectedAnswer(ApiError):
    """Something responded that is not this API, or is another version of it."""


class WaitTimedOut(ApiError):
    """A run did not end within `timeout_seconds`. It continues."""


class Refused(ApiError):
    """The API returned a problem document (RFC 9457). `retry_after_seconds` is None if the response does not say."""

    def __init__(self, problem: "Problem", retry_after_seconds: float | None = None) -> None:
        super().__init__(_message(problem))
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return self.problem.status

    @property
    def errors(self) -> "list[FieldError]":
        """The invalid fields with what is wrong; empty if no field is to blame."""
        return self.problem.errors


class InvalidRequest(Refused):
    """The request cannot work. `errors` names the fields."""


class Unauthorized(Refused):
    """The key is missing, unknown, expired or revoked."""


class Forbidden(Refused):
    """The key may not do this."""


class NotFound(Refused):
    """The run, dataset, model or other object does not exist, or the key may not see it."""


class Conflict(Refused):
    """The present state does not allow the request."""


class TooManyRequests(Refused):
    """The key exceeds its rate limit. `retry_after_seconds` says when the next request will pass."""


class Unavailable(Refused):
    """The service cannot reach something that it needs: its database, Ray, or the artifact store."""


_BY_STATUS: Mapping[int, type[Refused]] = {
    HTTPStatus.BAD_REQUEST: InvalidRequest,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: InvalidRequest,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: InvalidRequest,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidRequest,
    HTTPStatus.TOO_MANY_REQUESTS: TooManyRequests,
    HTTPStatus.BAD_GATEWAY: Unavailable,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
    HTTPStatus.GATEWAY_TIMEOUT: Unavailable,
}


def error_of(url: str, status: int, headers: Mapping[str, str], content: bytes) -> ApiError:
    """The exception for a response with a status of 400 or more. `headers` must ignore case."""
    from pydantic import ValidationError

    from service.views.problem import Problem

    try:
        problem = Problem.model_validate_json(content)
    except ValidationError:
        if status not in (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT):
            return UnexpectedAnswer(f"{url} answered {status}; is it the API of noisy-student?")
        # A proxy responds while the API behind it restarts.
        title = HTTPStatus(status).phrase
        problem = Problem(
            type="about:blank", title=title, status=status, detail=f"{url} answered {status}", instance=""
        )
    return refusal(problem, _seconds(headers.get("Retry-After")))


def refusal(problem: "Problem", retry_after_seconds: float | None = None) -> Refused:
    """The exception for a problem document."""
    return _BY_STATUS.get(problem.status, Refused)(problem, retry_after_seconds)


def unreachable(address: str, error: Exception) -> Unreachable:
    """The exception for an address at which nothing responds."""
    return Unreachable(
        f"the API at {address} does not answer ({error or type(error).__name__}).\n"
        "Start one with: noisy-student up. Another address: --api URL, NOISY_STUDENT_API, or noisy-student login URL."
    )


def _message(problem: "Problem") -> str:
    if not problem.errors:
        hint = (
            f"\nSet {API_KEY_VARIABLE} to a good API key, or keep one with noisy-student login."
            if problem.status == HTTPStatus.UNAUTHORIZED
            else ""
        )
        return f"{problem.title}: {problem.detail}{hint}"
    lines = [f"  {error.field or '(the whole body)'}: {error.message}" for error in problem.errors]
    return "\n".join([f"{problem.title}:", *lines])


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
