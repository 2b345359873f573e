"""Class folders are read with the classes and labels that torchvision's ImageFolder gives them."""

from pathlib import Path

from torchvision.datasets import ImageFolder

from tests.support.made_datasets import inspect, write_files
from tests.support.made_shards import picture
from workers.data.shards.shard_readers import read_shard

NAMES = ("10", "9", "Zebra", "ant", "naïve fox", "two words")


def test_classes_labels_and_files_are_those_of_imagefolder(tmp_path: Path) -> None:
    files = [f"{name}/deep/{row}.png" if row % 2 else f"{name}/{row}.png" for name in NAMES for row in range(3)]
    root = write_files(tmp_path / "set/train", {name: picture(row) for row, name in enumerate(files)})
    theirs = ImageFolder(str(root))
    manifest = inspect(root).manifest
    assert list(manifest.classes) == theirs.classes
    ours = read_shard(manifest, 0)
    assert ours.labels is not None
    read = {str(root / key): label for key, label in zip(ours.keys, ours.labels, strict=True)}
    assert read == dict(theirs.samples)
