"""What the exports of all tools come to: images, each with the labels that it was given."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.config.datasets import ExportFormat


@dataclass(frozen=True)
class ExportedImage:
    """One image of an export."""

    place: str
    """As written: a path on the machine of the tool, an address, or a name without a suffix."""
    labels: frozenset[str]
    """The different labels that it has. Only an image with a single one can be used with labels."""
    origin: str
    """The file and the entry in it, for messages."""


@dataclass(frozen=True)
class Export:
    """The contents of one export."""

    format: ExportFormat
    images: Sequence[ExportedImage]
    classes: tuple[str, ...] | None = None
    """All classes in index order, if the export lists them."""
    warnings: tuple[str, ...] = ()
    names_lack_suffixes: bool = False
    """Whether the places of the images are names without a suffix."""
