"""What the specs of all stages share."""

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.internals import LibraryInternals
from workers.specs.node_labels import NodeChoice
from workers.specs.telemetry import Telemetry
from workers.specs.tracking import Tracking


class StageSpec(Frozen):
    """The fields that all specs share."""

    run_id: str
    generation: int = Field(ge=0)
    attempt: int = Field(ge=1)
    """The attempt that this spec is for. A driver that finds the spec of a later attempt is superseded and stops."""
    folder_uri: str
    seed: int
    max_bad_fraction: float = Field(default=0.05, ge=0, le=1)
    dataset_roots: tuple[str, ...] | None = None
    """The folders and bucket prefixes from which images may be read (workers/data/dataset_roots.py); None: any."""
    internals: LibraryInternals = LibraryInternals()
    """Which undocumented parts of torch, timm and Ray the stage may use."""
    nodes: NodeChoice = NodeChoice()
    """The node labels for processes whose pool or group has none of its own."""
    telemetry: Telemetry = Telemetry()
    """How its processes log, and the request and span that its log lines and traces name."""
    tracking: Tracking = Tracking()
    """The servers that it reports its figures to, beside the event files."""
