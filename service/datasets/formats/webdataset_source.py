"""WebDataset tar files: counts the samples from the headers and reads the labels in the same pass."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from service.datasets.formats.source import map_in_threads
from service.datasets.places.location import FoundFile, Location
from service.datasets.places.unread_files import counted
from service.errors import InvalidRequest
from workers.data.errors import BrokenImage
from workers.data.plain_values import MAX_KEY_CHARACTERS, flaw_of, shown
from workers.data.shards import tar_shards
from workers.specs.datasets import DatasetFormat, DatasetRole, Shard

TAR_SUFFIXES = frozenset({"tar"})


@dataclass(frozen=True)
class _Headers:
    shard: Shard
    image_bytes: int
    labels: list[str | None]
    without_image: Counter[str]


@dataclass(frozen=True)
class WebDatasetSource:
    """A `source.Source` for WebDataset tar files. One tar file is one shard."""

    shards: tuple[Shard, ...]
    image_bytes: int
    labels: tuple[list[str | None], ...]
    """The labels of each shard; empty lists for an unlabeled dataset."""
    format: DatasetFormat = "webdataset"
    image_field: str = "uri"
    label_field: str = "uri"
    class_names: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()

    def row_name(self, shard_index: int, row: int) -> str:
        uri = self.shards[shard_index].uri
        with tar_shards.open_tar(uri) as stream:
            return f"{uri} row {row} ({shown(tar_shards.list_samples(stream)[row].key)})"

    def label_names(self, shard_index: int) -> list[str | None]:
        return self.labels[shard_index]

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        with tar_shards.open_tar(self.shards[shard_index].uri) as stream:
            samples = tar_shards.list_samples(stream, tar_shards.Walk(with_labels=False))
            return [_read(stream, samples[row]) for row in rows]

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        walk = tar_shards.Walk(with_images=True, with_labels=False)
        with tar_shards.open_tar(self.shards[shard_index].uri) as stream:
            for sample in tar_shards.iterate_samples(stream, walk):
                yield sample.image or b""


def open_webdataset_source(role: DatasetRole, location: Location, files: Sequence[FoundFile]) -> WebDatasetSource:
    """Reads the headers of every tar file. Raises InvalidRequest for a key that cannot be displayed."""

    def read_headers(uri: str) -> _Headers:
        walk = tar_shards.Walk(with_labels=role != "unlabeled")
        with tar_shards.open_tar(uri) as stream:
            samples = tar_shards.list_samples(stream, walk)
        for row, sample in enumerate(samples):
            if (flaw := flaw_of(sample.key, MAX_KEY_CHARACTERS)) is not None:
                raise InvalidRequest("uri", f"{uri} row {row} ({shown(sample.key)}): its name has {flaw}")
        return _Headers(
            shard=Shard(uri=uri, rows=len(samples)),
            image_bytes=sum(sample.image_size for sample in samples),
            labels=[sample.label for sample in samples] if walk.with_labels else [],
            without_image=walk.without_image,
        )

    headers = list(map_in_threads(read_headers, [location.uri_of(file) for file in files]))
    return WebDatasetSource(
        shards=tuple(header.shard for header in headers),
        image_bytes=sum(header.image_bytes for header in headers),
        labels=tuple(header.labels for header in headers),
        warnings=_warnings(headers),
    )


def _read(stream: IO[bytes], sample: tar_shards.TarSample) -> bytes | BrokenImage:
    try:
        return tar_shards.read_image(stream, sample)
    except BrokenImage as error:
        return error


def _warnings(headers: Sequence[_Headers]) -> tuple[str, ...]:
    suffixes = [suffix for header in headers for suffix in header.without_image.elements()]
    if not suffixes:
        return ()
    return (f"{len(suffixes):,} sample(s) have no image that is read; of their members are {counted(suffixes)}",)
