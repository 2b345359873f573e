"""How many workers a training has, a number or a range within which it follows the cluster, and their loaders."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Discriminator, Field, Tag, model_validator

from workers.specs.base import Frozen, field_error

if TYPE_CHECKING:
    from workers.specs.stages import WorkerGroup


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

LoaderProcesses = Annotated[
    Annotated[int, Field(ge=0, le=1000)] | None,
    Field(
        description="DataLoader processes per worker, of one thread each; 0: itself. null: one for each of its CPUs "
        "beside a GPU, and none on CPUs, which the model needs."
    ),
]


def loaders_of(group: "WorkerGroup", has_gpus: bool = False) -> int:
    """The loader processes of each worker, on a cluster with or without GPUs if the group leaves that open."""
    if group.loader_processes is not None:
        return group.loader_processes
    return max(1, int(group.cpus_per_worker)) if group.gpus_on(has_gpus) else 0
