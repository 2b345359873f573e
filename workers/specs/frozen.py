"""The base of every value that crosses a border: frozen, strict, unknown keys refused."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable value. JSON is parsed strictly: no string becomes a number, no unknown key passes."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
