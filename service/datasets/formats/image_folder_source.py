"""Image folders, split into shards of up to 1,000 files, each a mix of all classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from service.config.datasets import DatasetRequest
from service.datasets.places.location import FoundFile, Location
from service.datasets.places.splits import are_splits
from service.errors import InvalidRequest
from workers.artifact_io import join_uri
from workers.data.errors import BrokenImage
from workers.data.plain_values import shown
from workers.data.shards.folder_members import class_of, read_member
from workers.specs.datasets import DatasetFormat, Shard

FILES_PER_SHARD = 1000


@dataclass(frozen=True)
class ImageFolderSource:
    """A `source.Source` for a folder of images. A shard is a group of files."""

    shards: tuple[Shard, ...]
    image_bytes: int
    class_level: int = 1
    format: DatasetFormat = "image_folder"
    image_field: str = "uri"
    label_field: str = "uri"
    class_names: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()

    def row_name(self, shard_index: int, row: int) -> str:
        return join_uri(self.shards[shard_index].uri, self.shards[shard_index].members[row])

    def label_names(self, shard_index: int) -> list[str | None]:
        return [class_of(member, self.class_level) for member in self.shards[shard_index].members]

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        return [read_member(self.shards[shard_index], self.shards[shard_index].members[row]) for row in rows]

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        for member in self.shards[shard_index].members:
            image = read_member(self.shards[shard_index], member)
            yield image if isinstance(image, bytes) else b""


def open_image_folder_source(
    request: DatasetRequest, location: Location, files: Sequence[FoundFile]
) -> ImageFolderSource:
    """Groups the files into shards.

    Every n-th file of the sorted list goes to the same shard. Neighbours would be of one class, and training shuffles
    over only a few shards at a time. Raises InvalidRequest if a labeled dataset has images outside of class folders, or
    if its folders are not classes.
    """
    if location.is_file:
        raise InvalidRequest("uri", f"{location.uri}: an image folder is a folder, this is a file")
    if request.role != "unlabeled":
        if request.class_level is None:
            _check_class_folders(request, location, files)
        else:
            _check_class_level(request.class_level, location, files)
    names = [file.name for file in files]
    count = ceil(len(names) / FILES_PER_SHARD)
    groups = [tuple(names[start::count]) for start in range(count)]
    shards = tuple(Shard(uri=location.uri, rows=len(group), members=group) for group in groups)
    return ImageFolderSource(shards, sum(file.size for file in files), request.class_level or 1)


def _check_class_level(level: int, location: Location, files: Sequence[FoundFile]) -> None:
    if level == 0:
        raise InvalidRequest("class_level", "counts from 1 at the highest folder, or from -1 at the image's own")
    outside = next((file for file in files if class_of(file.name, level) is None), None)
    if outside is not None:
        raise InvalidRequest(
            "class_level", f"{shown(location.uri_of(outside))}: lies in fewer folders, so that none names its class"
        )


def _check_class_folders(request: DatasetRequest, location: Location, files: Sequence[FoundFile]) -> None:
    outside = next((file for file in files if "/" not in file.name), None)
    folders = sorted({file.name.partition("/")[0] for file in files if "/" in file.name})
    if request.classes is None and folders and are_splits(folders):
        listed, first = ", ".join(map(shown, folders[:5])), shown(location.uri_of(FoundFile(folders[0], 0)))
        raise InvalidRequest(
            "uri",
            f"{location.uri}: its folders ({listed}) look like splits and not like classes: register each by itself, "
            f"{first} first, or set `split`; where they are classes, name them in `classes`",
        )
    if outside is not None:
        raise InvalidRequest(
            "uri",
            f"{shown(location.uri_of(outside))}: lies outside of a class folder; a labeled image folder has one "
            "sub-folder for each class; where a table names the labels, register that file, as a list of URIs",
        )
    if len(folders) == 1 and request.classes is None:
        within = sorted({parts[1] for file in files if len(parts := file.name.split("/")) > 2})
        if within:
            raise InvalidRequest(
                "uri",
                f"{location.uri}: holds one folder, {shown(folders[0])}, with the folders "
                f"{', '.join(map(shown, within[:5]))}{', ...' if len(within) > 5 else ''} in it: register "
                f"{shown(location.uri_of(FoundFile(folders[0], 0)))} where those are the classes"
                + (", or each of them where they are splits" if are_splits(within) else ""),
            )
