"""Computes a digest of a dataset. Two datasets with the same digest give the same training, wherever they are."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyarrow import fs

from service.datasets.formats.source import Source, map_in_threads
from workers.artifact_io import open_filesystem
from workers.specs.datasets import DatasetManifest, DigestOf, Shard

_FILES_A_CALL = 1000


@dataclass(frozen=True)
class DatasetDigest:
    """A digest, blake2b of 32 bytes in hex, and what it covers."""

    value: str
    of: DigestOf
    """"images": the content hashes and labels of all images in order. "files": the names, sizes and times of the files,
    for datasets with too many images to hash at registration."""


def digest_of_images(source: Source, manifest: DatasetManifest, content_hashes: Sequence[bytes]) -> DatasetDigest:
    """Returns a digest of the images and labels, which does not depend on the files' locations and names.

    `content_hashes` are in row order.
    """
    digest = _begun(manifest)
    for shard in manifest.shards:
        _add(digest, str(shard.rows))
    for value in content_hashes:
        digest.update(value)
    if manifest.classes:
        for names in map_in_threads(source.label_names, range(len(manifest.shards))):
            for name in names:
                _add(digest, str(name))
    return DatasetDigest(digest.hexdigest(), "images")


def digest_of_files(manifest: DatasetManifest) -> DatasetDigest:
    """Returns a digest of the files. It changes if a file is rewritten, even with the same content."""
    digest = _begun(manifest)
    for shard in manifest.shards:
        _add(digest, f"{shard.uri.rpartition('/')[2]} {shard.rows}")
        if shard.chosen:
            _add(digest, " ".join(map(str, shard.chosen)))
        for info in _infos(shard):
            _add(digest, f"{info.base_name} {info.size} {info.mtime_ns}")
    return DatasetDigest(digest.hexdigest(), "files")


def digest_of_version(before: DatasetDigest, added: DatasetDigest) -> DatasetDigest:
    """Returns the digest of a dataset that continues another: of the other's digest and that of what it adds."""
    digest = hashlib.blake2b(digest_size=32)
    _add(digest, before.value)
    _add(digest, added.value)
    return DatasetDigest(digest.hexdigest(), "images" if before.of == added.of == "images" else "files")


def _infos(shard: Shard) -> Iterable[fs.FileInfo]:
    filesystem, path = open_filesystem(shard.uri)
    paths = [f"{path.rstrip('/')}/{member}" for member in shard.members] or [path]
    for start in range(0, len(paths), _FILES_A_CALL):
        yield from filesystem.get_file_info(paths[start : start + _FILES_A_CALL])


def _begun(manifest: DatasetManifest) -> "hashlib.blake2b":
    digest = hashlib.blake2b(digest_size=32)
    for text in (manifest.role, *manifest.classes):
        _add(digest, text)
    return digest


def _add(digest: "hashlib.blake2b", text: str) -> None:
    """Adds a text with its length, so that different lists of texts never produce the same bytes."""
    data = text.encode()
    digest.update(len(data).to_bytes(8, "big") + data)
