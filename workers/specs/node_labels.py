"""Which nodes a stage's processes may be placed on: Ray's label selectors, and what they allow. Pure.

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
"""So does this project's chart, by a label that the autoscaler knows of groups without a node, too."""
ACCELERATOR = "noisy-student.io/accelerator"
"""And `gpu` is this label's value on nodes that have GPUs."""

_NAME = "[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"
_LABEL = Annotated[str, StringConstraints(max_length=317, pattern=f"^([a-zA-Z0-9.-]{{1,253}}/)?{_NAME}$")]
_SELECTOR = Annotated[str, StringConstraints(max_length=2000, pattern=rf"^!?(in\({_NAME}(, ?{_NAME})*\)|{_NAME})$")]
NodeLabels = Annotated[dict[_LABEL, _SELECTOR], Field(max_length=20)]
"""By label: a value, `!value`, `in(a, b)` or `!in(a, b)`. A node without the label satisfies the negative ones."""


class NodeChoice(Frozen):
    """Where processes go whose stage says nothing of its own."""

    cpu_node_labels: NodeLabels = Field(default_factory=dict)
    """Of work without GPUs."""
    helper_node_labels: NodeLabels = Field(default_factory=dict)
    """Of processes that hold nothing and only wait for others."""


def allows(selector: Mapping[str, str], labels: Mapping[str, str], all_known: bool = True) -> bool:
    """Whether a node with these labels satisfies the selector; where not all are known, whether it may."""
    return all(
        (not all_known and label not in labels) or _satisfies(labels.get(label), wanted)
        for label, wanted in selector.items()
    )


def described(selector: Mapping[str, str]) -> str:
    """For people."""
    return ", ".join(f"{label}={wanted}" for label, wanted in sorted(selector.items()))


def _satisfies(value: str | None, wanted: str) -> bool:
    plain = wanted.removeprefix("!")
    listed = re.fullmatch(r"in\((.*)\)", plain)
    values = [each.strip() for each in listed[1].split(",")] if listed else [plain]
    return (value in values) is not wanted.startswith("!")
