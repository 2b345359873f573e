"""The base of every value that crosses a border: frozen, strict, unknown keys refused."""

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Frozen(BaseModel):
    """An immutable value. JSON is parsed strictly: no string becomes a number, no unknown key passes."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def field_error(field: str, message: str) -> PydanticCustomError:
    """What a rule over several fields raises: `field` is the one to blame, a dotted path below the model."""
    return PydanticCustomError("field_error", "{message}", {"field": field, "message": message})
