"""Which undocumented parts of torch, timm and Ray the stages use. docs/decisions says what each gains and costs."""

from pydantic import Field

from workers.specs.base import Frozen


class LibraryInternals(Frozen):
    """A setting of the service turns each of these off. Stages then use the documented API, with the same results."""

    torch_dynamo: bool = Field(
        default=True, strict=False, description="Defer the import of torch's compiler until something is compiled."
    )
    timm_imports: bool = Field(default=True, strict=False, description="Import only one timm architecture.")
    ray_train_controller: bool = Field(
        default=True, strict=False, description="Run Ray Train's controller in the trainer's process."
    )
    torch_store: bool = Field(
        default=True,
        strict=False,
        description="Bind a process group's store to one address; off: it listens on all addresses of the machine.",
    )
    ray_node_groups: bool = Field(
        default=True,
        strict=False,
        description="Read which groups of nodes an autoscaler has recorded, where placement.node_groups names none; "
        "off: without that setting, a stage cannot tell a node that is to come from what the cluster will never have.",
    )
    ray_drain_notices: bool = Field(
        default=True,
        strict=False,
        description="Watch for the notice that a training worker's node will be taken away; off: training takes no "
        "checkpoint then, and goes on from its last one.",
    )
