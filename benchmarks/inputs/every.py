"""The list of all inputs."""

from collections.abc import Iterator

from benchmarks.inputs import (
    bodies,
    broken_pictures,
    buckets,
    class_folders,
    command_lines,
    deep_pictures,
    foreign_writers,
    leftovers,
    near_leftovers,
    parquet_bombs,
    parquet_files,
    parquet_labels,
    picture_blocks,
    picture_files,
    run_bodies,
    scaled_jpegs,
    tables,
    tar_files,
    tar_members,
    uri_lists,
)
from benchmarks.inputs.expectations import Input


def every_input() -> Iterator[Input]:
    """Yields all inputs in the order of their modules. No two have the same kind and name."""
    yield from picture_files.inputs()
    yield from deep_pictures.inputs()
    yield from picture_blocks.inputs()
    yield from scaled_jpegs.inputs()
    yield from broken_pictures.inputs()
    yield from class_folders.inputs()
    yield from leftovers.inputs()
    yield from near_leftovers.inputs()
    yield from parquet_files.inputs()
    yield from parquet_bombs.inputs()
    yield from parquet_labels.inputs()
    yield from tar_files.inputs()
    yield from tar_members.inputs()
    yield from uri_lists.inputs()
    yield from tables.inputs()
    yield from buckets.inputs()
    yield from foreign_writers.inputs()
    yield from bodies.inputs()
    yield from run_bodies.inputs()
    yield from command_lines.inputs()
