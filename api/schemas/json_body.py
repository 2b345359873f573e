"""Request bodies that are parsed as strict JSON.

FastAPI decodes a body to Python objects first, and a strict pydantic model refuses those: a JSON array would be a
list where a tuple is wanted. So the decoded body goes back to JSON text, which the model parses by JSON's own rules.
Errors keep their paths, and OpenAPI shows the model as it is.
"""

import json
from typing import Any

from pydantic import BaseModel, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError


def strict_json(model: type[BaseModel]) -> WrapValidator:
    """The annotation of a body parameter: `Annotated[RunConfig, strict_json(RunConfig), Body()]`."""

    def parse(body: Any, _handler: ValidatorFunctionWrapHandler) -> BaseModel:
        if isinstance(body, bytes):  # what FastAPI hands over where the content type is not JSON
            message = "send the body as JSON, with Content-Type: application/json"
            raise PydanticCustomError("unsupported_media_type", message)
        return model.model_validate_json(json.dumps(body, allow_nan=False))

    return WrapValidator(parse)
