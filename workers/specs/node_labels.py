"""Ray's label selectors: on which nodes a stage's processes may be placed. Pure.

https://docs.ray.io/en/latest/ray-core/scheduling/labels.html
"""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from workers.specs.base import Frozen

NODE_GROUP = "ray.io/node-group"
"""KubeRay labels each node with its group's name; the head's is `headgroup`."""
OWN_GROUP = "noisy-student.io/group"
"""The same name as a label of this project's chart. The autoscaler knows it even for groups without a node."""
ACCELERATOR = "noisy-student.io/accelerator"
"""The chart sets this label to `gpu` on nodes with GPUs."""

_NAME = "[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"
_LABEL = Annotated[str, StringConstraints(max_length=317, pattern=f"^([a-zA-Z0-9.-]{{1,253}}/)?{_NAME}$")]
_SELECTOR = Annotated[str, StringConstraints(max_length=2000, pattern=rf"^!?(in\({_NAME}(, ?{_NAME})*\)|{_NAME})$")]
NodeLabels = Annotated[dict[_LABEL, _SELECTOR], Field(max_length=20)]
"""Selectors by label: `value`, `!value`, `in(a, b)`, `!in(a, b)`. Nodes without the label satisfy the negative ones."""
NODE_LABELS_MEAN = (
    "Labels of the nodes that it may run on, as Ray's label selectors: a value, `!value`, `in(a, b)` or `!in(a, b)`. "
    "null: the service's setting; {}: any node."
)


class KnownGroup(Frozen):
    """A group of nodes that the cluster's autoscaler can start, as the operator describes it.

    Ray's own autoscaler tells nobody which groups it has.
    """

    name: str = Field(max_length=63, description="The group's name, which its nodes have as ray.io/node-group.")
    cpus: float = Field(ge=0, le=100_000, description="Of one node.")
    gpus: float = Field(default=0, ge=0, le=1000, description="Of one node.")
    max_nodes: int | None = Field(default=None, ge=0, le=1_000_000, description="Null: there is no limit.")
    labels: dict[_LABEL, Annotated[str, StringConstraints(pattern=f"^({_NAME})?$")]] = Field(
        default={}, max_length=100, description="Of each node."
    )


class NodeChoice(Frozen):
    """The node labels for processes whose stage does not choose its own, and which nodes there could be."""

    cpu_node_labels: NodeLabels = Field(default_factory=dict)
    """For processes that work without GPUs."""
    helper_node_labels: NodeLabels = Field(default_factory=dict)
    """For processes that hold no resources and only wait for others."""
    groups: tuple[KnownGroup, ...] = ()
    """The groups of nodes that could grow; none where they are unknown."""


def allows(selector: Mapping[str, str], labels: Mapping[str, str], all_known: bool = True) -> bool:
    """Whether a node with these labels satisfies the selector, or, unless all labels are known, whether it may."""
    return all(
        (not all_known and label not in labels) or _satisfies(labels.get(label), wanted)
        for label, wanted in selector.items()
    )


def described(selector: Mapping[str, str]) -> str:
    """The selector as text for people."""
    return ", ".join(f"{label}={wanted}" for label, wanted in sorted(selector.items()))


def _satisfies(value: str | None, wanted: str) -> bool:
    plain = wanted.removeprefix("!")
    listed = re.fullmatch(r"in\((.*)\)", plain)
    values = [each.strip() for each in listed[1].split(",")] if listed else [plain]
    return (value in values) is not wanted.startswith("!")
