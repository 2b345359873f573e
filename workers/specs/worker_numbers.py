"""How many workers a training has: a number, or a range within which it follows the cluster."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Discriminator, Field, Tag, model_validator

from workers.specs.base import Frozen, field_error


class WorkerRange(Frozen):
    """A number of workers that follows the cluster while the training goes on."""

    min: int = Field(ge=1, le=100_000, description="Training begins, and goes on, with this many.")
    max: int = Field(ge=1, le=100_000, description="It grows to this many when there is room.")

    @model_validator(mode="after")
    def _max_is_not_below_min(self) -> "WorkerRange":
        if self.max < self.min:
            raise field_error("max", f"must be at least min ({self.min}); it is {self.max}")
        return self


def _number_or_range(value: object) -> str:
    return "(range)" if isinstance(value, Mapping | WorkerRange) else "(number)"


NumWorkers = Annotated[
    Annotated[int, Field(ge=1, le=100_000), Tag("(number)")] | Annotated[WorkerRange, Tag("(range)")],
    Discriminator(_number_or_range),
]
"""Tags in parentheses are no part of a field's name in errors."""
