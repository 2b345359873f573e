"""What a call does, step by step, without doing it: the same steps are walked by the sync and the async client.

A generator yields a step and is sent what came of it, or thrown the ApiError that it ended with.
"""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

from noisy_student.connection import Connection
from noisy_student.errors import ApiError, Refused, TooManyRequests, Unavailable, Unreachable, error_of

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 30.0
_RECONNECT_SECONDS = 2.0
_SILENCE_SECONDS = 45.0
"""Of an event stream: three heartbeats."""
_SAFE_METHODS = {"GET", "PUT", "DELETE"}
"""Doing it twice is doing it once."""
PASSING = (Unreachable, Unavailable, TooManyRequests)
"""What may be over in a moment."""
IDEMPOTENCY_HEADER = "Idempotency-Key"


@dataclass(frozen=True)
class Request:
    """One HTTP request. `path` is quoted already; `timeout_seconds` None: the connection's."""

    method: str
    path: str
    query: Mapping[str, str | int]
    headers: Mapping[str, str]
    body: bytes | None = None
    timeout_seconds: float | None = None

    @property
    def may_be_sent_twice(self) -> bool:
        """Whether that changes nothing more than sending it once."""
        return self.method in _SAFE_METHODS or IDEMPOTENCY_HEADER in self.headers


class Answered(NamedTuple):
    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Send:
    """Gives Answered."""

    request: Request


@dataclass(frozen=True)
class Listen:
    """Opens a stream of lines in the place of an earlier one. Gives Answered, its content empty where it is open."""

    request: Request


@dataclass(frozen=True)
class NextLine:
    """Of the open stream. Gives None at its end."""


@dataclass(frozen=True)
class Sleep:
    seconds: float


@dataclass(frozen=True)
class Emit:
    """Hands a value to who iterates."""

    value: Any


Step = Send | Listen | NextLine | Sleep | Emit
Result = TypeVar("Result")
Steps = Generator[Step, Any, Result]
Clock = Callable[[], float]


def exchange(connection: Connection, request: Request, welcome: tuple[int, ...] = ()) -> Steps[Answered]:
    """Sends the request until it is answered, as often as that is safe and wanted. `welcome` are statuses of 400 and
    more that are answers all the same. Raises ApiError."""
    tries = connection.retries if request.may_be_sent_twice else 0
    for attempt in range(tries + 1):
        try:
            answered: Answered = yield Send(request)
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
    """Emits what `read` makes of the data of server-sent events (WHATWG HTML, section 9.2), without end. Connects
    again where the connection is lost, and goes on after the last event that was seen. Raises ApiError where the first
    connection is refused, and where the API stays away."""
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
    """What `look` gives, tried again while the API is away, for as long as the connection's patience lasts."""
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
