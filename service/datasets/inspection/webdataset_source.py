"""WebDataset tar files: counts samples from the headers, and reads the labels in passing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.datasets.inspection.location import FoundFile, Location
from service.datasets.inspection.source import map_in_threads
from workers.data.errors import BrokenImage
from workers.data.shards import tar_shards
from workers.specs.datasets import DatasetFormat, DatasetRole, Shard

TAR_SUFFIXES = frozenset({"tar"})


@dataclass(frozen=True)
class _Headers:
    shard: Shard
    image_bytes: int
    labels: list[str | None]


@dataclass(frozen=True)
class WebDatasetSource:
    """See `source.Source`. One tar file is one shard."""

    shards: tuple[Shard, ...]
    image_bytes: int
    labels: tuple[list[str | None], ...]
    """A shard each; empty lists for an unlabeled dataset."""
    format: DatasetFormat = "webdataset"
    image_field: str = "uri"
    label_field: str = "uri"
    class_names: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()

    def row_name(self, shard_index: int, row: int) -> str:
        uri = self.shards[shard_index].uri
        with tar_shards.open_tar(uri) as stream:
            return f"{uri} row {row} ({tar_shards.list_samples(stream)[row].key})"

    def label_names(self, shard_index: int) -> list[str | None]:
        return self.labels[shard_index]

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        with tar_shards.open_tar(self.shards[shard_index].uri) as stream:
            samples = tar_shards.list_samples(stream)
            return [tar_shards.read_image(stream, samples[row]) for row in rows]

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        with tar_shards.open_tar(self.shards[shard_index].uri) as stream:
            for sample in tar_shards.list_samples(stream):
                yield tar_shards.read_image(stream, sample)


def open_webdataset_source(role: DatasetRole, location: Location, files: Sequence[FoundFile]) -> WebDatasetSource:
    """Reads the headers of every tar file."""

    def read_headers(uri: str) -> _Headers:
        with tar_shards.open_tar(uri) as stream:
            samples = tar_shards.list_samples(stream)
        return _Headers(
            shard=Shard(uri=uri, rows=len(samples)),
            image_bytes=sum(sample.image_size for sample in samples),
            labels=[] if role == "unlabeled" else [sample.label for sample in samples],
        )

    headers = list(map_in_threads(read_headers, [location.uri_of(file) for file in files]))
    return WebDatasetSource(
        shards=tuple(header.shard for header in headers),
        image_bytes=sum(header.image_bytes for header in headers),
        labels=tuple(header.labels for header in headers),
    )
