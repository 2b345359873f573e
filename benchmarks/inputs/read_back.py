"""Reads a registered dataset as the stages do, and reports how it differs from what its author wrote."""

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.inputs.expectations import Accepted, Row
from workers.data.errors import ShardReadError
from workers.data.shards.shard_readers import ShardImages, iterate_shard, load_manifest, read_shard
from workers.specs.datasets import DatasetManifest

_SHOWN = 3


def differences(dataset: dict[str, Any], home: Path, expected: Accepted) -> list[str]:
    """What is wrong with the response to POST /datasets and with the rows that a stage would read; empty if nothing."""
    found = _rows(dataset, home)
    if isinstance(found, str):
        return [found]
    problems = []
    if dataset["rows"] != len(expected.rows):
        problems.append(f"says {dataset['rows']} rows where there are {len(expected.rows)}")
    missing, extra = Counter(expected.rows) - Counter(found), Counter(found) - Counter(expected.rows)
    if missing:
        problems.append(f"lost {missing.total()} row(s): {_shown(missing)}")
    if extra:
        problems.append(f"{extra.total()} row(s) that should not be there: {_shown(extra)}")
    labels = Counter(row.label for row in expected.rows if row.label is not None)
    counts = dataset.get("class_counts")
    if labels and counts is not None and {name: count for name, count in counts.items() if count} != dict(labels):
        problems.append(f"counts its classes as {counts}, they are {dict(labels)}")
    if expected.classes is not None and tuple(dataset["classes"]) != expected.classes:
        problems.append(f"has the classes {dataset['classes']}, they should be {list(expected.classes)}")
    return problems


def unreadable(dataset: dict[str, Any], home: Path) -> list[str]:
    """Why a stage cannot read all rows, with only a few in memory at a time; empty if it can."""
    try:
        manifest = load_manifest(_manifest_uri(dataset, home))
        read = sum(
            len(piece.images) for index in range(len(manifest.shards)) for piece in iterate_shard(manifest, index)
        )
    except ShardReadError as error:
        return [f"registered, and the stages cannot read it: {str(error)[:300]}"]
    return [] if read == dataset["rows"] else [f"the stages read {read} rows of {dataset['rows']}"]


def _manifest_uri(dataset: dict[str, Any], home: Path) -> str:
    return str(home / "artifacts" / "datasets" / dataset["id"] / "manifest.json")


def _rows(dataset: dict[str, Any], home: Path) -> list[Row] | str:
    rows: list[Row] = []
    try:
        manifest = load_manifest(_manifest_uri(dataset, home))
        for index in range(len(manifest.shards)):
            images = read_shard(manifest, index)
            names = _class_names(manifest, images)
            rows += [Row(name, content) for name, content in zip(names, images.images, strict=True)]
    except ShardReadError as error:
        return f"registered, and the stages cannot read it: {str(error)[:300]}"
    return rows


def _class_names(manifest: DatasetManifest, images: ShardImages) -> list[str | None]:
    """The class name of each image; None for unlabeled ones."""
    if not images.labels:
        return [None] * len(images.images)
    return [manifest.classes[label] for label in images.labels]


def _shown(rows: "Counter[Row]") -> str:
    shown = [f"{row.label!r} {len(row.content)} bytes" for row in list(rows)[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(rows) > _SHOWN else "")
