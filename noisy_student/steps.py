"""The steps of a call as values, without any I/O. The sync and the async client carry out the same steps.

A generator yields a step, and is sent its outcome or thrown the ApiError or OSError with which it failed. It is closed
when the call ends, however it ends.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from noisy_student.connection import Connection
from noisy_student.errors import ApiError, Refused, TooManyRequests, Unavailable, Unreachable, error_of

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 30.0
_RECONNECT_SECONDS = 2.0
_SILENCE_SECONDS = 45.0
"""How long an event stream may be silent: three heartbeats."""
_SAFE_METHODS = {"GET", "PUT", "DELETE"}
"""The idempotent methods of HTTP that this API uses."""
PASSING = (Unreachable, Unavailable, TooManyRequests)
"""Errors that may be over in a moment."""
IDEMPOTENCY_HEADER = "Idempotency-Key"


@dataclass(frozen=True)
class Request:
    """One HTTP request. `path` is already quoted. If `timeout_seconds` is None, the connection's applies."""

    method: str
    path: str
    query: Mapping[str, str | int | Sequence[str]]
    headers: Mapping[str, str]
    body: bytes | None = None
    timeout_seconds: float | None = None

    @property
    def may_be_sent_twice(self) -> bool:
        """Whether sending the request twice changes no more than sending it once."""
        return self.method in _SAFE_METHODS or IDEMPOTENCY_HEADER in self.headers


class Answered(NamedTuple):
    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Send:
    """Sends a request. The outcome is an Answered."""

    request: Request


@dataclass(frozen=True)
class Listen:
    """Opens a stream of lines, instead of any earlier one. The outcome is an Answered, without content if open."""

    request: Request


@dataclass(frozen=True)
class NextLine:
    """Reads a line of the open stream. The outcome is None at the end of the stream."""


@dataclass(frozen=True)
class Save:
    """Sends a request and writes the body of its response to a file. The outcome is an Answered, without content.

    If the response is an error, nothing is written, and the content is there.
    """

    request: Request
    path: Path


@dataclass(frozen=True)
class Work:
    """Calls a function that takes a while, such as one that writes files. The outcome is what it returns."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class Sleep:
    seconds: float


@dataclass(frozen=True)
class Emit:
    """Passes a value to the code that iterates over the call."""

    value: Any


Step = Send | Save | Listen | NextLine | Work | Sleep | Emit
Result = TypeVar("Result")
Steps = Generator[Step, Any, Result]
Clock = Callable[[], float]


def exchange(
    connection: Connection, request: Request, welcome: tuple[int, ...] = (), to: Path | None = None
) -> Steps[Answered]:
    """Sends a request and returns the response. Retries while that is safe and the connection allows it.

    `welcome` are statuses of 400 or more that count as responses nevertheless. The response's body is written to the
    file `to`, if one is given. Raises ApiError.
    """
    tries = connection.retries if request.may_be_sent_twice else 0
    for attempt in range(tries + 1):
        try:
            answered: Answered = yield (Send(request) if to is None else Save(request, to))
            if answered.status < HTTPStatus.BAD_REQUEST or answered.status in welcome:
                return answered
            raise error_of(connection.api + request.path, *answered)
        except PASSING as error:
            pause = _pause(error, attempt)
            if attempt == tries or pause > _LONGEST_PAUSE_SECONDS:
                raise
        yield Sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def follow(
    connection: Connection,
    request: Request,
    after: int | None,
    read: Callable[[str], Any],
    clock: Clock = time.monotonic,
) -> Steps[None]:
    """Emits `read` of the data of each server-sent event (WHATWG HTML, section 9.2), without end.

    If the connection is lost, it reconnects and continues after the last event seen. Raises ApiError if the first
    connection is refused, or if the API stays away.
    """
    request = replace(request, timeout_seconds=_SILENCE_SECONDS)
    if after is not None:
        request = replace(request, headers={**request.headers, "Last-Event-ID": str(after)})
    heard_at: float | None = None
    while True:
        try:
            answered: Answered = yield Listen(request)
            if answered.status >= HTTPStatus.BAD_REQUEST:
                raise error_of(connection.api + request.path, *answered)
            heard_at = clock()
            identity, data = "", []
            while (line := (yield NextLine())) is not None:
                heard_at = clock()
                name, _, value = line.partition(":")
                if name == "id":
                    identity = value.strip()
                elif name == "data":
                    data.append(value.removeprefix(" "))
                elif not line and data:
                    yield Emit(read("\n".join(data)))
                    request = replace(request, headers={**request.headers, "Last-Event-ID": identity})
                    data = []
        except PASSING as error:
            if heard_at is None or clock() - heard_at > connection.patience_seconds:
                raise
            yield Sleep(max(_RECONNECT_SECONDS, _asked_pause(error)))
        else:
            yield Sleep(_RECONNECT_SECONDS)


def patiently(
    connection: Connection, look: Callable[[], Steps[Result]], poll_seconds: float, clock: Clock = time.monotonic
) -> Steps[Result]:
    """The result of `look`. Retries while the API is away, for as long as the connection's patience lasts."""
    left_at = clock() + connection.patience_seconds
    while True:
        try:
            return (yield from look())
        except PASSING as error:
            if clock() >= left_at:
                raise
            yield Sleep(max(poll_seconds, _asked_pause(error)))


def _pause(error: ApiError, attempt: int) -> float:
    return max(_FIRST_PAUSE_SECONDS * float(2**attempt), _asked_pause(error))


def _asked_pause(error: ApiError) -> float:
    return error.retry_after_seconds or 0.0 if isinstance(error, Refused) else 0.0
