"""The fields that the specs of all stages share."""

from typing import TypedDict

from service.dataset_roots import Roots
from workers.specs.internals import LibraryInternals
from workers.specs.node_labels import NodeChoice


class CommonFields(TypedDict):
    """The fields of `StageSpec`, which every spec has."""

    run_id: str
    generation: int
    attempt: int
    folder_uri: str
    seed: int
    max_bad_fraction: float
    dataset_roots: Roots | None
    internals: LibraryInternals
    nodes: NodeChoice
