"""Makes a folder of links for each class, for people to look through: the least confident pictures come first.

Links lead to pictures that are files of this machine. What lies in Parquet or tar files, or in a bucket, is listed in
the manifest alone.
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.artifact_io import is_local
from workers.data.names import suffix_of
from workers.data.shards.uri_lists import read_part
from workers.plain_uri import below
from workers.specs.datasets import DatasetManifest

MANIFEST_FILE = "manifest.csv"
_FIELDS = ("class", "confidence", "selected", "not_selected_because", "link", "place", "key", "shard", "row")
_UNFIT = re.compile(r"[^\w .,()+=@-]", re.ASCII)
_LONGEST_NAME = 100


def folder_names(classes: Sequence[str]) -> list[str]:
    """A folder's name for each class: no two are the same, also where case does not count."""
    names: list[str] = []
    taken = {MANIFEST_FILE}
    for index, name in enumerate(classes):
        plain = _UNFIT.sub("_", name).strip(" .")[:_LONGEST_NAME] or "_"
        if plain.lower() in taken:
            plain = f"{plain}-{index}"
        taken.add(plain.lower())
        names.append(plain)
    return names


def places(manifest: DatasetManifest, shard: int) -> Iterator[str]:
    """Yields where the picture of each row of a shard is: its own file, or the shard's."""
    found = manifest.shards[shard]
    match manifest.format:
        case "image_folder":
            yield from (below(found.uri, member) for member in found.members)
        case "uri_list":
            yield from (entry.uri for entry in read_part(found.uri))
        case _:
            yield from (found.uri for _ in range(found.rows))


class LinkFolders:
    """The folders below `root`. Rows are given shard by shard."""

    def __init__(self, root: Path, manifest: DatasetManifest, classes: Sequence[str]) -> None:
        self._root = root
        self._manifest = manifest
        self._names = folder_names(classes)
        self._own_files = manifest.format in ("image_folder", "uri_list")

    def add(self, shard: int, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Links the pictures of some rows of a shard, and returns their lines of the manifest. It may be repeated."""
        if not rows:
            return []
        of_rows = list(places(self._manifest, shard))
        return [self._line(row, of_rows[row["row"]]) for row in rows]

    def _line(self, row: Mapping[str, Any], place: str) -> dict[str, Any]:
        link = ""
        if self._own_files and is_local(place):
            name = f"{row['confidence']:.4f}-{row['shard']:06d}-{row['row']:08d}.{suffix_of(place) or 'img'}"
            link = f"{self._names[row['label']]}/{name}"
            _link(self._root / link, place)
        return {
            "class": row["label_name"],
            "confidence": f"{row['confidence']:.6f}",
            "selected": row["selected"],
            "not_selected_because": row["not_selected_because"] or "",
            "link": link,
            "place": place,
            "key": row["key"],
            "shard": row["shard"],
            "row": row["row"],
        }


def manifest_lines(lines: Sequence[Mapping[str, Any]], with_head: bool) -> bytes:
    """Lines of manifest.csv."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _FIELDS)
    if with_head:
        writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()


def _link(link: Path, place: str) -> None:
    target = place.removeprefix("file://")
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        if os.readlink(link) == target:
            return
        link.unlink()
    link.symlink_to(target)
