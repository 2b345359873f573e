"""Looks at a place and registers what the look offers, as a person would who believes it."""

from pathlib import Path

from service.config.datasets import LookRequest
from service.datasets.inspection import InspectedDataset, inspect_dataset
from service.datasets.looks.look import look_at
from service.views.looks import DatasetLook
from workers.data.dataset_roots import ANYWHERE, DatasetRoots
from workers.data.shards.shard_readers import read_shard


def look(place: Path | str, roots: DatasetRoots = ANYWHERE) -> DatasetLook:
    return look_at(LookRequest(uri=str(place)), roots)


def registered(found: DatasetLook, parts_folder: Path) -> list[InspectedDataset]:
    """What each request of a look registers, in order."""
    return [
        inspect_dataset(request, f"ds-{number}", str(parts_folder / str(number)))
        for number, request in enumerate(found.requests)
    ]


def counts(found: DatasetLook, parts_folder: Path) -> list[dict[str, int] | int]:
    """The images of each class of the parts of a look, once registered; of an unlabeled one, all its images."""
    return [
        each.manifest.rows if each.class_counts is None else each.class_counts
        for each in registered(found, parts_folder)
    ]


def labels_read(dataset: InspectedDataset) -> list[str]:
    """The labels that a stage reads, in row order."""
    manifest = dataset.manifest
    shards = [read_shard(manifest, index) for index in range(len(manifest.shards))]
    return [manifest.classes[label] for shard in shards for label in shard.labels or []]
