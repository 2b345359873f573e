"""The base of every value that crosses a process border: it is frozen and strict, and rejects unknown keys."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Frozen(BaseModel):
    """An immutable value. Its JSON is parsed strictly: a string never becomes a number, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A value with the changes in `update`, validated by all rules. Raises pydantic's ValidationError.

        pydantic's own model_copy does not validate, so it could make a value that cannot be read back once it is
        written. No part of the value can change, so nothing is copied and `deep` has no effect.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate({**given, **(update or {})})


def field_error(field: str, message: str) -> PydanticCustomError:
    """The error of a rule that spans several fields. `field` is the one to blame, as a dotted path below the model."""
    return PydanticCustomError("field_error", "{message}", {"field": field, "message": message})
