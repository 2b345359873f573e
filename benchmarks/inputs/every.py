"""Every input there is, by kind."""

from collections.abc import Iterator

from benchmarks.inputs import (
    broken_pictures,
    class_folders,
    leftovers,
    picture_blocks,
    picture_files,
    scaled_jpegs,
    tables,
    uri_lists,
)
from benchmarks.inputs.expectations import Input


def every_input() -> Iterator[Input]:
    """In the order of their modules. No two have the same kind and name."""
    yield from picture_files.inputs()
    yield from picture_blocks.inputs()
    yield from scaled_jpegs.inputs()
    yield from broken_pictures.inputs()
    yield from class_folders.inputs()
    yield from leftovers.inputs()
    yield from uri_lists.inputs()
    yield from tables.inputs()
