"""The base of every value that crosses a border: frozen, strict, unknown keys refused."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Frozen(BaseModel):
    """An immutable value. JSON is parsed strictly: no string becomes a number, no unknown key passes."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """The value with changes, checked by all its rules.

        pydantic's own model_copy does not check, and could make a value that cannot be read once it is written. Nothing
        is copied, because no part of the value can change: `deep` has no meaning.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate({**given, **(update or {})})


def field_error(field: str, message: str) -> PydanticCustomError:
    """The error of a rule over several fields. `field` is the one to blame, as a dotted path below the model."""
    return PydanticCustomError("field_error", "{message}", {"field": field, "message": message})
