"""Checks where datasets may lie, at registration and again before each file is opened.

Paths are compared as the filesystem will see them: with escapes decoded and symbolic links followed.
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
"""The variable by which the roots of a stage's spec reach all its processes, also Ray's workers and data loaders."""
_LIKE_A_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""Such as C:\\pets and s3:/pets, which nobody means as a name in the working directory."""
_EVERY_BUCKET = ("s3://", "gs://")
_OPTIONS = frozenset({"endpoint_override", "scheme", "region", "project_id", "retry_limit_seconds"})
"""The options of an object store that are allowed. Arrow knows more, such as the path of a certificate file."""


class OutsideOfRoots(ShardReadError):
    """Datasets may not lie in this place."""


@dataclass(frozen=True)
class DatasetRoots:
    """The places where datasets may lie.

    `roots` are folders, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX, or s3:// and gs:// for every bucket. None allows any
    local path and any bucket, as on a laptop; an empty tuple allows nothing. `apart_from` are places of the service
    itself, where no dataset may lie whatever the roots are.
    """

    roots: tuple[str, ...] | None = None
    apart_from: tuple[str, ...] = ()

    def check(self, uri: str) -> None:
        """Raises OutsideOfRoots if `uri`, a file or a folder, lies outside of all roots or is not plain.

        `..` is refused wherever it stands. The symbolic links of local paths are followed before they are compared.
        The query of an s3 or gs URI, its endpoint for example, must equal the root's: it names the server.
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
    """The environment variables that every process of a stage must have."""
    return {} if roots is None else {ROOTS_VARIABLE: json.dumps(list(roots))}


@contextmanager
def reading_within(roots: Sequence[str] | None) -> Iterator[None]:
    """Makes `check_place` allow `roots` during the `with` block, in all threads of this process."""
    before = os.environ.pop(ROOTS_VARIABLE, None)
    os.environ.update(stage_environment(roots))
    try:
        yield
    finally:
        os.environ.pop(ROOTS_VARIABLE, None)
        if before is not None:
            os.environ[ROOTS_VARIABLE] = before


def check_place(uri: str) -> None:
    """Raises OutsideOfRoots if a file may not be read. All readers call this before they open a file.

    Without the variable, as on a laptop, every file may be read.
    """
    roots = os.environ.get(ROOTS_VARIABLE)
    if roots is not None:
        DatasetRoots(tuple(json.loads(roots))).check(uri)


def plain_dataset_uri(uri: str) -> str:
    """The URI of a dataset, or of an image in a list, in the form that all other code expects.

    It is an absolute local path, or s3:// or gs:// with a plain bucket, path and options. Raises OutsideOfRoots.
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
    """Returns `root` if datasets can lie there. Raises ValueError otherwise."""
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
    # A URI with `..` has been refused already; in a path `..` is gone by now.
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
