"""Request bodies that are parsed as strict JSON.

FastAPI decodes a body to Python objects first, and a strict pydantic model refuses those: a JSON array would be a
list where a tuple is wanted. So the decoded body goes back to JSON text, which the model parses by JSON's own rules.
Errors keep their paths, and OpenAPI shows the model as it is.
"""

import json
import re
from typing import Any

from pydantic import BaseModel, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""As json.dumps writes it; a backslash before it is a text's own only where there are two."""


def strict_json(model: type[BaseModel]) -> WrapValidator:
    """The annotation of a body parameter: `Annotated[RunConfig, strict_json(RunConfig), Body()]`."""

    def parse(body: Any, _handler: ValidatorFunctionWrapHandler) -> BaseModel:
        if isinstance(body, bytes):  # what FastAPI hands over where the content type is not JSON
            message = "send the body as JSON, with Content-Type: application/json"
            raise PydanticCustomError("unsupported_media_type", message)
        text = json.dumps(body, allow_nan=False)
        parsed = model.model_validate_json(text)  # first: it may name the field
        if _NUL.search(text):
            raise PydanticCustomError("nul_character", "the body must hold no NUL character (U+0000)")
        return parsed

    return WrapValidator(parse)
