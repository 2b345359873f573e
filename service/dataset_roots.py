"""Where the datasets of which project may lie, and where none may: not around the service's own files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workers.data.dataset_roots import DatasetRoots, check_root
from workers.specs.stages import StageName

Roots = tuple[str, ...]


@dataclass(frozen=True)
class RootsByProject:
    """Roots as `DatasetRoots` takes them."""

    others: Roots | None
    """Of the projects that have none of their own; None: anywhere."""
    own: Mapping[str, Roots] = field(default_factory=dict)
    apart_from: Roots = ()
    """Where nothing is registered, whatever the roots."""

    def of(self, project: str) -> DatasetRoots:
        """Where a project registers."""
        return DatasetRoots(self.own.get(project, self.others), self.apart_from)

    def of_stage(self, stage: StageName, folder_uri: str, projects: Iterable[str]) -> Roots | None:
        """Where a stage may read images; None: anywhere. That is where the projects of its datasets have them; a plan
        also reads the sample of them that it lays into its own folder."""
        roots = self.of_all(projects)
        return roots if roots is None or stage != "measure" else (*roots, folder_uri)

    def of_all(self, projects: Iterable[str]) -> Roots | None:
        """The roots of all these projects together; None: anywhere."""
        found: dict[str, None] = {}
        for project in sorted(projects):
            roots = self.of(project).roots
            if roots is None:
                return None
            found |= dict.fromkeys(roots)
        return tuple(found)

    def check_apart(self, own_places: Mapping[str, str]) -> None:
        """Raises ValueError where a root holds one of the service's own places, or lies in its artifacts: a project
        could register what another has there. `own_places` are URIs by the name of their setting."""
        for root in dict.fromkeys((*(self.others or ()), *(root for roots in self.own.values() for root in roots))):
            for name, place in own_places.items():
                if DatasetRoots((root,)).holds(place):
                    raise ValueError(f"datasets.roots: {root} contains {name} ({place}): give folders beside it")
            if DatasetRoots((own_places["artifact_root"],)).holds(root):
                raise ValueError(f"datasets.roots: {root} lies in artifact_root: datasets lie elsewhere")


def absolute_roots(roots: Iterable[str]) -> Roots:
    """Local ones made absolute. Raises ValueError for one where nothing can lie."""
    return tuple(absolute_uri(check_root(root)) for root in roots)


def absolute_uri(uri: str) -> str:
    """A local path with its links followed; a URI without a slash at its end."""
    if "://" in uri:
        return uri if uri.endswith("://") else uri.rstrip("/")
    return str(Path(uri).expanduser().resolve())
