"""Where datasets may lie: schemes and roots that are allowed. Checked at registration, and by the readers again.

A path is compared as the filesystem will be asked for it: percent signs decoded, symbolic links followed.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl

from workers.data.errors import ShardReadError
from workers.data.plain_values import MAX_KEY_CHARACTERS, flaw_of, shown
from workers.plain_uri import LOCAL, Location, NotPlain, is_uri, parse_place

ROOTS_VARIABLE = "NOISY_STUDENT_STAGE_DATASET_ROOTS"
"""How the roots of a stage's spec reach each of its processes, Ray's workers and a DataLoader's among them."""
_LIKE_A_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""As C:\\pets and s3:/pets, which nobody means as a name in the working directory."""
_EVERY_BUCKET = ("s3://", "gs://")
_OPTIONS = frozenset({"endpoint_override", "scheme", "region", "project_id", "retry_limit_seconds"})
"""Of an object store. Arrow knows more, as the path of a file of certificates."""


class OutsideOfRoots(ShardReadError):
    """The place is not one where datasets may lie."""


@dataclass(frozen=True)
class DatasetRoots:
    """`roots`: folders, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or s3:// and gs:// for every bucket.

    None: any local path, s3 and gs, as on a laptop. An empty tuple: nothing. `apart_from`: places of the service's own
    where no dataset may lie, whatever the roots.
    """

    roots: tuple[str, ...] | None = None
    apart_from: tuple[str, ...] = ()

    def check(self, uri: str) -> None:
        """Raises OutsideOfRoots where `uri` (a file or a folder) lies outside of all roots, or is not plain.

        `..` is refused wherever it stands. A local path is compared with all its symbolic links followed. The query
        of an s3 or gs URI (its endpoint, for example) must be the root's: it says which server is asked.
        """
        place = _place(uri)
        if self.roots is not None and not any(_is_below(place, root) for root in self.roots):
            raise OutsideOfRoots(uri, self._refusal())
        if any(_is_below(place, kept) for kept in self.apart_from):
            raise OutsideOfRoots(uri, "lies where the service keeps its own files; no dataset may lie there")

    def holds(self, uri: str) -> bool:
        """Whether `uri`, which may also stand for every bucket, lies below a root."""
        if self.roots is None or uri in _EVERY_BUCKET:
            return self.roots is None or uri in self.roots
        return any(_is_below(_place(uri), root) for root in self.roots)

    def _refusal(self) -> str:
        if not self.roots:
            return "no place is allowed for datasets; the service's setting datasets.roots says which are"
        return f"lies outside of the places allowed for datasets: {', '.join(self.roots)}"


ANYWHERE = DatasetRoots()


def stage_environment(roots: Sequence[str] | None) -> Mapping[str, str]:
    """What every process of a stage must have in its environment."""
    return {} if roots is None else {ROOTS_VARIABLE: json.dumps(list(roots))}


@contextmanager
def reading_within(roots: Sequence[str] | None) -> Iterator[None]:
    """What `check_place` allows meanwhile, in all threads of this process."""
    before = os.environ.pop(ROOTS_VARIABLE, None)
    os.environ.update(stage_environment(roots))
    try:
        yield
    finally:
        os.environ.pop(ROOTS_VARIABLE, None)
        if before is not None:
            os.environ[ROOTS_VARIABLE] = before


def check_place(uri: str) -> None:
    """What all readers call before they open a file. Raises OutsideOfRoots.

    Where the variable is missing (on a laptop), all is allowed.
    """
    roots = os.environ.get(ROOTS_VARIABLE)
    if roots is not None:
        DatasetRoots(tuple(json.loads(roots))).check(uri)


def plain_dataset_uri(uri: str) -> str:
    """The place of a dataset, or of an image of a list, in the one form that everything else takes it in.

    A local path, made absolute, or s3:// or gs:// with a plain bucket, path and options. Raises OutsideOfRoots.
    """
    if (flaw := flaw_of(uri, MAX_KEY_CHARACTERS)) is not None:
        raise OutsideOfRoots(shown(uri), f"it has {flaw}")
    place = _place(uri)
    if _LIKE_A_URI.match(uri) and not is_uri(uri):
        raise OutsideOfRoots(uri, "give an absolute path, or a URI (s3://BUCKET/PATH, gs://BUCKET/PATH)")
    user = place.authority.rpartition("@")[0]
    if user and not (place.scheme == "gs" and user == "anonymous"):
        # Not quoted: it may be a secret.
        raise OutsideOfRoots(f"{place.scheme}://...", "credentials do not belong into a URI, which is shown and stored")
    options = [name for name, _ in parse_qsl(place.query, keep_blank_values=True)]
    unknown = next((name for name in options if name not in _OPTIONS), None)
    if unknown is not None or len(set(options)) < len(options):
        known = ", ".join(sorted(_OPTIONS))
        raise OutsideOfRoots(uri, f"its options (after the question mark) are, once each, of {known}")
    return place.uri


def check_root(root: str) -> str:
    """`root`, if datasets can lie there; raises ValueError otherwise."""
    if not root:
        raise ValueError("datasets.roots: an empty text is no root")
    if root in _EVERY_BUCKET:
        return root
    try:
        _place(root)
    except OutsideOfRoots as error:
        raise ValueError(f"datasets.roots: {error}") from error
    return root


def _place(uri: str) -> Location:
    try:
        place = parse_place(uri)
    except NotPlain as error:
        raise OutsideOfRoots(shown(uri), str(error)) from error
    # In a URI it is refused already; in a path it would be gone by now.
    if not is_uri(uri) and ".." in uri.replace("\\", "/").split("/"):
        raise OutsideOfRoots(uri, "`..` is refused in the place of a dataset")
    return place


def _is_below(place: Location, root: str) -> bool:
    if root in _EVERY_BUCKET:
        return f"{place.scheme}://" == root and not place.query and "@" not in place.authority
    of_root = parse_place(root)
    if (place.scheme, place.authority, place.query) != (of_root.scheme, of_root.authority, of_root.query):
        return False
    path, folder = place.path, of_root.path
    if place.scheme == LOCAL:
        path, folder = os.path.realpath(path), os.path.realpath(folder)
    return path == folder or folder in ("", "/") or path.startswith(f"{folder.rstrip('/')}/")
