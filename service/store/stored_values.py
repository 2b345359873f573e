"""Configurations and plans as the database keeps them: what is written has been read again first."""

import logging
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from service.errors import Conflict, InvalidRequest

log = logging.getLogger(__name__)
Value = TypeVar("Value", bound=BaseModel)


def written(value: BaseModel) -> str:
    """The value as JSON. Raises InvalidRequest for one that `read` would refuse: it would be kept for ever."""
    text = value.model_dump_json()
    try:
        type(value).model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidRequest(".".join(map(str, first["loc"])), first["msg"]) from error
    return text


def read(kind: type[Value], text: str, whose: str) -> Value:
    """The value of the run `whose`. Raises Conflict for one that another version of the service has written."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise Conflict(f"this version of the service cannot read the {kind.__name__} of {whose}") from error


def read_if_possible(kind: type[Value], text: str, whose: str) -> Value | None:
    """For views, which show the rest."""
    try:
        return read(kind, text, whose)
    except Conflict as error:
        log.warning("%s: %s", error, error.__cause__)
        return None
