"""Where datasets may lie: schemes and roots that are allowed. Checked at registration, and by the readers again.

A path is compared as the filesystem will be asked for it: percent signs decoded, symbolic links followed.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from workers.data.errors import ShardReadError

ROOTS_VARIABLE = "NOISY_STUDENT_STAGE_DATASET_ROOTS"
"""How the roots of a stage's spec reach each of its processes, Ray's workers and a DataLoader's among them."""
SCHEMES = frozenset({"file", "s3", "gs"})
"""`file` is a local path written as a URI."""


class OutsideOfRoots(ShardReadError):
    """The place is not one where datasets may lie."""


@dataclass(frozen=True)
class DatasetRoots:
    """`roots`: folders, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or s3:// and gs:// for every bucket.

    None: any local path, s3 and gs, as on a laptop. An empty tuple: nothing.
    """

    roots: tuple[str, ...] | None = None

    def check(self, uri: str) -> None:
        """Raises OutsideOfRoots where `uri` (a file or a folder) lies outside of all roots.

        `..` is refused wherever it stands. A local path is compared with all its symbolic links followed. The query
        of an s3 or gs URI (its endpoint, for example) must be the root's: it says which server is asked.
        """
        place = _Place(uri)
        if place.scheme not in SCHEMES:
            raise OutsideOfRoots(uri, f"{place.scheme}:// is no kind of place that datasets may lie at")
        if self.roots is not None and not any(place.is_below(_Place(root)) for root in self.roots):
            raise OutsideOfRoots(uri, self._refusal())

    def _refusal(self) -> str:
        if not self.roots:
            return "no place is allowed for datasets; the service's setting dataset_roots says which are"
        return f"lies outside of the places allowed for datasets: {', '.join(self.roots)}"


ANYWHERE = DatasetRoots()


def stage_environment(roots: Sequence[str] | None) -> Mapping[str, str]:
    """What every process of a stage must have in its environment."""
    return {} if roots is None else {ROOTS_VARIABLE: json.dumps(list(roots))}


def check_place(uri: str) -> None:
    """What the readers of a stage call before they open a file. Raises OutsideOfRoots.

    Where the variable is missing (on a laptop, and in the service, which checks by its settings), all is allowed.
    """
    roots = os.environ.get(ROOTS_VARIABLE)
    if roots is not None:
        DatasetRoots(tuple(json.loads(roots))).check(uri)


def check_root(root: str) -> str:
    """`root`, if datasets can lie there; raises ValueError otherwise."""
    if not root:
        raise ValueError("dataset_roots: an empty text is no root")
    try:
        place = _Place(root)
    except OutsideOfRoots as error:
        raise ValueError(f"dataset_roots: {error}") from error
    if place.scheme not in SCHEMES:
        raise ValueError(f"dataset_roots: {root} is neither a folder nor s3:// nor gs://")
    return root


class _Place:
    """A URI taken apart. Raises OutsideOfRoots for one with `..` in it."""

    def __init__(self, uri: str) -> None:
        if "://" in uri:
            parts = urlsplit(uri)
            self.scheme, self.server, self.query = parts.scheme.lower(), parts.netloc, parts.query
            path = unquote(parts.path)
        else:
            self.scheme, self.server, self.query, path = "file", "", "", uri
        if ".." in path.replace("\\", "/").split("/"):
            raise OutsideOfRoots(uri, "`..` is refused in the place of a dataset")
        self.path = os.path.realpath(path) if self.scheme == "file" else path.strip("/")

    def is_below(self, root: "_Place") -> bool:
        if self.scheme != root.scheme or self.query != root.query:
            return False
        if self.scheme != "file" and not root.server:  # every bucket
            return "@" not in self.server
        if self.server != root.server:
            return False
        return self.path == root.path or root.path in ("", "/") or self.path.startswith(f"{root.path.rstrip('/')}/")
