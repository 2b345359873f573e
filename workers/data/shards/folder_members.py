"""Opens and reads the files of an image folder, or says why one cannot be read."""

from workers.artifact_io import open_filesystem
from workers.data.dataset_roots import check_place
from workers.data.errors import BrokenImage, read_error
from workers.data.shards.whole_files import OpenFile, open_whole
from workers.plain_uri import below
from workers.specs.datasets import Shard
from workers.specs.hygiene import BrokenKind


def class_of(member: str, level: int) -> str | None:
    """The class of an image: the folder at `level`, which counts from 1 at the highest and from -1 at the one that
    holds the image. None if the image lies too high."""
    folders = member.split("/")[:-1]
    place = level - 1 if level > 0 else len(folders) + level
    return folders[place] if 0 <= place < len(folders) else None


def open_member(shard: Shard, member: str) -> OpenFile | BrokenImage:
    """Opens a file of an image folder. Raises ShardReadError if the storage fails, and OutsideOfRoots."""
    check_place(below(shard.uri, member))
    filesystem, root = open_filesystem(shard.uri)
    try:
        return open_whole(filesystem, f"{root.rstrip('/')}/{member}")
    except FileNotFoundError:
        return _gone()
    except OSError as error:
        raise read_error(below(shard.uri, member), "cannot be read", error) from error


def read_opened(shard: Shard, member: str, opened: OpenFile | BrokenImage) -> bytes | BrokenImage:
    """The bytes of an opened file. Raises ShardReadError if the storage fails."""
    try:
        return opened.read() if isinstance(opened, OpenFile) else opened
    except FileNotFoundError:
        return _gone()
    except OSError as error:
        raise read_error(below(shard.uri, member), "cannot be read", error) from error


def read_member(shard: Shard, member: str) -> bytes | BrokenImage:
    """Opens and reads one file. Raises like `open_member`."""
    return read_opened(shard, member, open_member(shard, member))


def _gone() -> BrokenImage:
    return BrokenImage(BrokenKind.UNREADABLE, "there is no such file")
