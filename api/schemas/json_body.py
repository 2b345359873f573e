"""Parses request bodies as strict JSON.

FastAPI decodes a body to Python objects first, which a strict pydantic model rejects: a JSON array becomes a list where
the model expects a tuple. So this module encodes the body as JSON again, and the model parses it by the rules for JSON.
Errors keep their paths, and OpenAPI shows the model as it is.

Before that, it rejects what no request can mean: otherwise a few bytes of JSON could become millions of errors.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from service.config.run import MAX_CLASSES, MOVED_FIELDS, RunConfig
from workers.specs.text import unfit_character

MAX_ERRORS = 20
"""More than a person reads; the first errors tell what is wrong."""
MAX_VALUES = 10_000
"""For the whole body except class names. Fifty generations with a recipe each have a third of this."""
MAX_NAMES = 2 * MAX_CLASSES
_NAMES = frozenset({"classes", "class_map"})
"""The fields that hold class names, the only parts that may be long."""
MAX_DEPTH = 30
MAX_KEY_LENGTH = 1000

_Path = tuple[str | int, ...]


def strict_json(model: type[BaseModel]) -> WrapValidator:
    """The annotation of a body parameter, for example `Annotated[RunConfig, strict_json(RunConfig), Body()]`."""

    def parse(body: object, _handler: ValidatorFunctionWrapHandler) -> BaseModel:
        if isinstance(body, bytes):  # FastAPI does not decode it if the content type is not JSON
            message = "send the body as JSON, with Content-Type: application/json"
            raise PydanticCustomError("unsupported_media_type", message)
        refused = next(_unacceptable(body), None)
        if refused is not None:
            path, message = refused
            error = PydanticCustomError("unacceptable", "{message}", {"message": message})
            raise ValidationError.from_exception_data(
                model.__name__, [InitErrorDetails(type=error, loc=path, input=None)]
            )
        try:
            return model.model_validate_json(json.dumps(body))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[:MAX_ERRORS]
            moved = [_moved(model, each) for each in first]
            if error.error_count() <= MAX_ERRORS and not any(moved):
                raise
            told = [new or _again(each) for new, each in zip(moved, first, strict=True)]
            raise ValidationError.from_exception_data(model.__name__, told) from error

    return WrapValidator(parse)


def _moved(model: type[BaseModel], details: ErrorDetails) -> InitErrorDetails | None:
    """The error for a field of a run that has moved, with its new name; None for any other error."""
    match details["loc"]:
        case (name,):
            is_of_run = model is RunConfig
        case (part, name):
            is_of_run = part in model.model_fields and model.model_fields[str(part)].annotation is RunConfig
        case _:
            return None
    if not is_of_run or details["type"] != "extra_forbidden" or name not in MOVED_FIELDS:
        return None
    return _error(details["loc"], {"message": f"is {MOVED_FIELDS[str(name)]} now"})


def _again(details: ErrorDetails) -> InitErrorDetails:
    """The same error without the input."""
    return _error(details["loc"], {**details.get("ctx", {}), "message": details["msg"]})


def _error(path: _Path, context: dict[str, Any]) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError("invalid", "{message}", context), loc=path, input=None)


def _unacceptable(body: object) -> Iterator[tuple[_Path, str]]:
    """Yields what is wrong with the body, whatever it is for: the path and a message. Does not recurse."""
    seen = names = 0
    waiting: list[tuple[_Path, object]] = [((), body)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            if (character := unfit_character(value)) is not None:
                yield path, f"holds the character {character}, which cannot be stored or shown"
        elif isinstance(value, float):
            if not math.isfinite(value):
                yield path, "must be a finite number"
        elif isinstance(value, dict | list):
            if _is_names(path, value):
                names += len(value)
            else:
                seen += len(value)
            if seen > MAX_VALUES or names > MAX_NAMES:
                yield path, "the body holds more values than any request has"
            if len(path) == MAX_DEPTH:
                yield path, f"the body is nested more than {MAX_DEPTH} deep"
            yield from _unacceptable_keys(path, value)
            items = value.items() if isinstance(value, dict) else enumerate(value)
            waiting.extend(((*path, key), each) for key, each in items)


def _is_names(path: _Path, value: dict[str, Any] | list[Any]) -> bool:
    if not path or path[-1] not in _NAMES:
        return False
    each = value.values() if isinstance(value, dict) else value
    return all(isinstance(name, str) and 0 < len(name) <= MAX_KEY_LENGTH for name in each)


def _unacceptable_keys(path: _Path, value: dict[str, Any] | list[Any]) -> Iterator[tuple[_Path, str]]:
    if isinstance(value, list):
        return
    for key in value:
        if len(key) > MAX_KEY_LENGTH:
            yield path, f"has a key of more than {MAX_KEY_LENGTH} characters"
        if (character := unfit_character(key)) is not None:
            yield path, f"has a key with the character {character}, which cannot be stored or shown"
