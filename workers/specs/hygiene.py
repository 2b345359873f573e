"""Names for images that must not be trained on: broken ones, and copies of evaluation images."""

from enum import StrEnum

from workers.specs.base import Frozen


class BrokenKind(StrEnum):
    """Why an image cannot be used; each broken image is counted under one."""

    EMPTY = "empty"
    """No bytes: a null, or a file of zero bytes."""
    UNREADABLE = "unreadable"
    """Its file is missing, or the storage does not return it."""
    UNKNOWN_FORMAT = "unknown_format"
    """It is no picture, or has a format that is not read, whatever its name says."""
    TRUNCATED = "truncated"
    """The file breaks off."""
    DAMAGED = "damaged"
    """A picture that its decoder refuses."""
    TOO_LARGE = "too_large"
    """More pixels than are decoded, by its header: a decompression bomb, or nearly one."""
    UNSUPPORTED = "unsupported"
    """Pixels without a defined range, as 32-bit ones."""


class EvaluationImages(Frozen):
    """An evaluation dataset, and where its perceptual hashes are kept once they are known."""

    manifest_uri: str
    perceptual_hashes_uri: str
