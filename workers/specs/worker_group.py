"""The workers of a training: how many, a number or a range within which it follows the cluster, and what each has."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from workers.specs.base import Frozen, field_error
from workers.specs.node_labels import NODE_LABELS_MEAN, NodeLabels

GPUS_MEAN = "null: one where the cluster has GPUs or a group of nodes that could have them, else none; 0: none."


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


class WorkerGroup(Frozen):
    """The workers of a train stage, and how they share its model.

    `parallelism` is here and not in the recipe, because it changes where the weights lie and not what is learned: the
    same recipe gives the same losses either way.
    """

    num_workers: NumWorkers = Field(
        default=1,
        description='A number, or a range such as {"min": 1, "max": 4}, within which training follows the cluster, '
        "with the same samples in the same batches. A search has its own number. An ablation trains with one, or with "
        "the fewest if they share the model.",
    )
    parallelism: Literal["ddp", "fsdp"] = Field(
        default="ddp",
        description="ddp: every worker holds the whole model. fsdp: the workers share its weights, their moving "
        "average, gradients and optimizer state, for models that do not fit on one; needs at least 2 workers.",
    )
    cpus_per_worker: float = Field(default=1.0, gt=0, le=100_000)
    gpus_per_worker: float | None = Field(default=None, ge=0, le=1, description=GPUS_MEAN)
    node_labels: NodeLabels | None = Field(default=None, description=NODE_LABELS_MEAN)
    loader_processes: LoaderProcesses = None
    max_failures: int = Field(default=3, ge=0, le=1_000_000, description="Lost workers that one attempt survives.")

    @model_validator(mode="after")
    def _several_workers_share_a_model(self) -> "WorkerGroup":
        if self.parallelism == "fsdp" and self.min_workers == 1:
            why = "num_workers is 1" if self.max_workers == 1 else "num_workers.min is 1"
            raise field_error(
                "parallelism", f"fsdp shares a model over at least 2 workers, and {why}: raise it, or set ddp"
            )
        return self

    @property
    def min_workers(self) -> int:
        """How many workers training needs to begin."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers.min

    @property
    def max_workers(self) -> int:
        """How many workers training may have."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers.max

    @property
    def workers_a_model_needs(self) -> int:
        """How many workers a training needs that takes no more than it must: one, unless they share the model."""
        return 1 if self.parallelism == "ddp" else self.min_workers

    @property
    def gpus(self) -> float:
        """The GPUs of a worker, once they are decided."""
        return self.gpus_on(has_gpus=False)

    def gpus_on(self, has_gpus: bool) -> float:
        """The GPUs of a worker on a cluster with or without GPUs."""
        return float(has_gpus) if self.gpus_per_worker is None else self.gpus_per_worker


def loaders_of(group: WorkerGroup, has_gpus: bool = False) -> int:
    """The loader processes of each worker, on a cluster with or without GPUs if the group leaves that open."""
    if group.loader_processes is not None:
        return group.loader_processes
    return max(1, int(group.cpus_per_worker)) if group.gpus_on(has_gpus) else 0
