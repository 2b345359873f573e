"""What a call raises: one class a kind of refusal, each with the problem document that the API answered."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.views.problem import FieldError, Problem  # pydantic, which a client needs from its first answer on

API_KEY_VARIABLE = "NOISY_STUDENT_API_KEY"
"""Never on a command line, which is seen by every process of the machine."""


class ApiError(Exception):
    """The call did not succeed. The message is for people, one line for each field that is wrong."""


class Unreachable(ApiError):
    """Nothing answered: no connection, or no answer in time."""


class UnexpectedAnswer(ApiError):
    """Something answered that is not this API, or another version of it."""


class WaitTimedOut(ApiError):
    """A run has not ended within `timeout_seconds`. It goes on."""


class Refused(ApiError):
    """The API answered with a problem document (RFC 9457). `retry_after_seconds` is None where it does not say."""

    def __init__(self, problem: "Problem", retry_after_seconds: float | None = None) -> None:
        super().__init__(_message(problem))
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def errors(self) -> "list[FieldError]":
        """The fields that are wrong, each with what is wrong about it; empty where no field is to blame."""
        return self.problem.errors


class InvalidRequest(Refused):
    """What was asked for cannot work: `errors` names the fields."""


class Unauthorized(Refused):
    """There is no key, or it is unknown, expired or revoked."""


class Forbidden(Refused):
    """The key may not do this."""


class NotFound(Refused):
    """There is no such run, dataset, model or the like, or the key may not see it."""


class Conflict(Refused):
    """It cannot be done in the present state."""


class TooManyRequests(Refused):
    """The key asks more often than it may; `retry_after_seconds` says when the next request will pass."""


class Unavailable(Refused):
    """The service lacks something at the moment: its database, Ray, the artifact store."""


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
    """The exception that stands for an answer of 400 or more. `headers` are looked up without regard to case."""
    from pydantic import ValidationError

    from service.views.problem import Problem

    try:
        problem = Problem.model_validate_json(content)
    except ValidationError:
        if status not in (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT):
            return UnexpectedAnswer(f"{url} answered {status}; is it the API of noisy-student?")
        # A proxy in front of an API that restarts.
        title = HTTPStatus(status).phrase
        problem = Problem(
            type="about:blank", title=title, status=status, detail=f"{url} answered {status}", instance=""
        )
    kind = _BY_STATUS.get(status, Refused)
    return kind(problem, _seconds(headers.get("Retry-After")))


def unreachable(address: str, error: Exception) -> Unreachable:
    """What is said where nothing answers."""
    return Unreachable(
        f"the API at {address} does not answer ({error or type(error).__name__}).\n"
        "Start one with: noisy-student up. Another address: --api URL, or NOISY_STUDENT_API."
    )


def _message(problem: "Problem") -> str:
    if not problem.errors:
        hint = f"\nSet {API_KEY_VARIABLE} to a good API key." if problem.status == HTTPStatus.UNAUTHORIZED else ""
        return f"{problem.title}: {problem.detail}{hint}"
    lines = [f"  {error.field or '(the whole body)'}: {error.message}" for error in problem.errors]
    return "\n".join([f"{problem.title}:", *lines])


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
