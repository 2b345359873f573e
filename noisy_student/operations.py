"""The operations of the API as values, which both clients carry out.

A resource's method only translates its arguments; a decorator turns it into the call. On a resource of the sync client
the call returns the response, on one of the async client an awaitable of it.
"""

import json
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from noisy_student.errors import UnexpectedAnswer
from noisy_student.steps import IDEMPOTENCY_HEADER, Answered, Request, Steps, exchange
from noisy_student.transport import AsyncTransport, SyncTransport, Way

Body = BaseModel | Mapping[str, Any]
"""A request model, or a mapping of the same form, which the API validates."""
Taken = ParamSpec("Taken")
Given = TypeVar("Given")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Operation(Generic[Given]):
    """One route. `path` has its parameters in braces, as in the OpenAPI document."""

    method: str
    path: str
    answer: type[Given]
    """The type of the response: a pydantic model, bytes as received, or NoneType for no content."""
    body: type[BaseModel] | None = None
    once: bool = False
    """Whether the route takes an idempotency key."""
    welcome: tuple[int, ...] = ()
    """Statuses of 400 or more whose body is a regular response, not a problem document."""


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call to an operation. Query parameters that are None are omitted."""

    path: Mapping[str, str | int] = field(default_factory=dict)
    query: Mapping[str, str | int | Sequence[str] | None] = field(default_factory=dict)
    body: Body | None = None
    idempotency_key: str | None = None


class Resource(Generic[Way]):
    """A part of the API, called in the client's way: sync or async."""

    _way: Way

    def __init__(self, way: Way) -> None:
        self._way = way


class StepsMethod(Generic[Taken, Given]):
    """A resource's method that takes steps of its own. `operation` is the route that it serves."""

    def __init__(self, operation: Operation[Any], steps: Callable[Concatenate[Any, Taken], Steps[Given]]) -> None:
        self.operation = operation
        self.steps = steps
        self._documented: Callable[..., Any] = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, resource: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, resource: Resource[SyncTransport], owner: Any) -> Callable[Taken, Given]: ...
    @overload
    def __get__(
        self, resource: Resource[AsyncTransport], owner: Any
    ) -> Callable[Taken, Coroutine[Any, Any, Given]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: Any) -> Any:
        if resource is None:
            return self

        @wraps(self._documented)
        def call(*args: Taken.args, **kwargs: Taken.kwargs) -> Any:
            return resource._way.carry_out(self.steps(resource, *args, **kwargs))

        return call


class Method(StepsMethod[Taken, Given]):
    """A resource's method that carries out one operation."""

    def __init__(self, operation: Operation[Given], arguments: Callable[Concatenate[Any, Taken], Arguments]) -> None:
        def steps(resource: Any, /, *args: Taken.args, **kwargs: Taken.kwargs) -> Steps[Given]:
            return carry_out(resource._way, operation, arguments(resource, *args, **kwargs))

        super().__init__(operation, steps)
        self._documented = arguments
        self.__doc__ = arguments.__doc__


def operation(
    method: str,
    path: str,
    answer: type[Given],
    body: type[BaseModel] | None = None,
    once: bool = False,
    welcome: tuple[int, ...] = (),
) -> Callable[[Callable[Concatenate[Any, Taken], Arguments]], Method[Taken, Given]]:
    """A decorator that turns a function from arguments to `Arguments` into a method that carries out the operation."""

    def decorate(arguments: Callable[Concatenate[Any, Taken], Arguments]) -> Method[Taken, Given]:
        return Method(Operation(method, path, answer, body, once, welcome), arguments)

    return decorate


def takes_steps(
    operation: Operation[Any],
) -> Callable[[Callable[Concatenate[Any, Taken], Steps[Given]]], StepsMethod[Taken, Given]]:
    """A decorator that turns a function from arguments to a call's steps into a method that serves the operation."""
    return lambda steps: StepsMethod(operation, steps)


def carry_out(
    way: SyncTransport | AsyncTransport,
    operation: Operation[Given],
    arguments: Arguments,
    timeout_seconds: float | None = None,
) -> Steps[Given]:
    """Sends the request and reads the response. `timeout_seconds` None: the connection's. Raises ApiError."""
    request = replace(request_of(operation, arguments), timeout_seconds=timeout_seconds)
    answered = yield from exchange(way.connection, request, operation.welcome)
    return read_answer(operation, answered)


def request_of(operation: Operation[Any], arguments: Arguments) -> Request:
    """The HTTP request of a call.

    An operation that must happen only once gets a random idempotency key if none is given. It can then be sent again if
    its response is lost.
    """
    headers = {}
    if operation.once:
        headers[IDEMPOTENCY_HEADER] = arguments.idempotency_key or str(uuid.uuid4())
    if operation.body is not None:
        headers["Content-Type"] = "application/json"
    return Request(
        method=operation.method,
        path=operation.path.format_map({name: quote(str(value), safe="") for name, value in arguments.path.items()}),
        query={name: value for name, value in arguments.query.items() if value is not None},
        headers=headers,
        body=None if operation.body is None else _json(arguments.body),
    )


def read_answer(operation: Operation[Given], answered: Answered) -> Given:
    """The response as a value. Raises UnexpectedAnswer if this version cannot read it."""
    if operation.answer is bytes:
        return answered.content  # type: ignore[return-value]
    if not issubclass(operation.answer, BaseModel):
        return None  # type: ignore[return-value]
    try:
        return read_model(operation.answer, answered.content)
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, each["loc"])) or "the whole" for each in error.errors()[:5])
        raise UnexpectedAnswer(
            f"{operation.method} {operation.path} answered {answered.status} with something else than "
            f"{operation.answer.__name__} ({wrong}): is it the API of noisy-student, of this version?"
        ) from error


def read_model(kind: type[Model], content: str | bytes) -> Model:
    """Parses a response, and ignores fields that only newer versions of the service know. Raises ValidationError."""
    return kind.model_validate_json(content, extra="ignore")


def _json(body: Body | None) -> bytes:
    """The body as JSON, without unset fields, whose defaults the service decides."""
    if isinstance(body, BaseModel):
        return body.model_dump_json(exclude_unset=True).encode()
    return json.dumps({} if body is None else dict(body)).encode()
