"""Writes configurations and plans as JSON for the database, and reads them. It writes only what it can read again.

It also reads what drivers have reported of their attempts.
"""

import logging
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from service.errors import Conflict, InvalidRequest
from workers.specs.devices import DeviceKind, Devices
from workers.specs.reports import Waiting

log = logging.getLogger(__name__)
Value = TypeVar("Value", bound=BaseModel)


def written(value: BaseModel) -> str:
    """Returns the value as JSON. Raises InvalidRequest if `read` would refuse it, since it would be stored forever."""
    text = value.model_dump_json()
    try:
        type(value).model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidRequest(".".join(map(str, first["loc"])), first["msg"]) from error
    return text


def read(kind: type[Value], text: str, whose: str) -> Value:
    """Parses a value of the run `whose`. Raises Conflict if another version of the service wrote it in another form."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise Conflict(f"this version of the service cannot read the {kind.__name__} of {whose}") from error


def read_if_possible(kind: type[Value], text: str, whose: str) -> Value | None:
    """Parses a value, or returns None and logs a warning if `read` refuses it. Views then still show the rest."""
    try:
        return read(kind, text, whose)
    except Conflict as error:
        log.warning("%s: %s", error, error.__cause__)
        return None


def recorded_devices(kind: str | None, count: float) -> Devices | None:
    """Returns what an attempt is charged for, or None for an attempt of an earlier release."""
    return None if kind is None else Devices(kind=DeviceKind(kind), count=count)


def recorded_wait(text: str | None, whose: str) -> Waiting | None:
    """Returns what an attempt waits for, or None if it does not wait, or if another version wrote it."""
    return None if text is None else read_if_possible(Waiting, text, whose)
