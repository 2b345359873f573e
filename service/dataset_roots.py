"""The roots under which each project's datasets must lie, and the service's own places, where none may lie."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workers.data.dataset_roots import DatasetRoots, check_root
from workers.specs.stages import StageName

Roots = tuple[str, ...]


@dataclass(frozen=True)
class RootsByProject:
    """The dataset roots of all projects, in the form that `DatasetRoots` takes."""

    others: Roots | None
    """The roots of the projects without their own roots; None for anywhere."""
    own: Mapping[str, Roots] = field(default_factory=dict)
    apart_from: Roots = ()
    """Places where no dataset may lie, whatever the roots."""

    def of(self, project: str) -> DatasetRoots:
        """Returns where a project's datasets may lie."""
        return DatasetRoots(self.own.get(project, self.others), self.apart_from)

    def of_stage(self, stage: StageName, folder_uri: str, projects: Iterable[str]) -> Roots | None:
        """Returns where a stage may read images, or None for anywhere.

        These are the roots of its datasets' projects. A plan also reads the sample that it writes to its own folder.
        """
        roots = self.of_all(projects)
        return roots if roots is None or stage != "measure" else (*roots, folder_uri)

    def of_all(self, projects: Iterable[str]) -> Roots | None:
        """Returns the roots of all these projects together, or None for anywhere."""
        found: dict[str, None] = {}
        for project in sorted(projects):
            roots = self.of(project).roots
            if roots is None:
                return None
            found |= dict.fromkeys(roots)
        return tuple(found)

    def check_apart(self, own_places: Mapping[str, str]) -> None:
        """Raises ValueError if a root contains one of the service's own places or lies within its artifacts.

        Otherwise a project could register another project's artifacts. `own_places` holds URIs by their setting's name.
        """
        for root in dict.fromkeys((*(self.others or ()), *(root for roots in self.own.values() for root in roots))):
            for name, place in own_places.items():
                if DatasetRoots((root,)).holds(place):
                    raise ValueError(f"datasets.roots: {root} contains {name} ({place}): give folders beside it")
            if DatasetRoots((own_places["artifact_root"],)).holds(root):
                raise ValueError(f"datasets.roots: {root} lies in artifact_root: datasets lie elsewhere")


def absolute_roots(roots: Iterable[str]) -> Roots:
    """Makes local roots absolute. Raises ValueError for a root under which nothing can lie."""
    return tuple(absolute_uri(check_root(root)) for root in roots)


def absolute_uri(uri: str) -> str:
    """Returns a local path as an absolute path with links resolved, or a URI without a slash at its end."""
    if "://" in uri:
        return uri if uri.endswith("://") else uri.rstrip("/")
    return str(Path(uri).expanduser().resolve())
