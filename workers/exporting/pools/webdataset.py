"""Writes tar shards in the layout of WebDataset: NAME.jpg, NAME.cls and NAME.json for each picture."""

import io
import json
import tarfile
from collections.abc import Iterable
from typing import IO

from workers.exporting.pools.labeled_pictures import LabeledPicture

_SUFFIXES = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
)


def part_name(shard: int) -> str:
    """The name of the tar file with the pictures of a shard of the pool."""
    return f"pool-{shard:06d}.tar"


def write_tar(target: IO[bytes], pictures: Iterable[LabeledPicture]) -> int:
    """Writes the pictures, and returns their number. Equal pictures make equal files: no entry has a time."""
    count = 0
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for picture in pictures:
            # The pool's own keys may have dots and slashes, which WebDataset takes for parts of names.
            name = f"{picture.row['shard']:06d}-{picture.row['row']:08d}"
            about = json.dumps(dict(picture.row), ensure_ascii=False).encode()
            _add(archive, f"{name}.{suffix_of_picture(picture.image)}", picture.image)
            _add(archive, f"{name}.cls", str(picture.row["label"]).encode())
            _add(archive, f"{name}.json", about)
            count += 1
    return count


def suffix_of_picture(image: bytes) -> str:
    """The suffix of an encoded picture, by its first bytes."""
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    return next((suffix for start, suffix in _SUFFIXES if image.startswith(start)), "img")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
