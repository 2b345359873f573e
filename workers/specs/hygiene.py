"""Images that training must not use: broken ones, and copies of evaluation images."""

from enum import StrEnum

from workers.specs.base import Frozen


class BrokenKind(StrEnum):
    """Why an image cannot be used. Each broken image is counted under exactly one kind."""

    EMPTY = "empty"
    """It has no bytes: a null, or a file of zero bytes."""
    UNREADABLE = "unreadable"
    """Its file is missing, or the storage fails to return it."""
    UNKNOWN_FORMAT = "unknown_format"
    """It is not a picture, or its format is not supported, whatever its name says."""
    TRUNCATED = "truncated"
    """The file ends too early."""
    DAMAGED = "damaged"
    """The decoder rejects it."""
    TOO_LARGE = "too_large"
    """Its header claims more pixels than the decoder accepts: a decompression bomb, or close to one."""
    UNSUPPORTED = "unsupported"
    """Its pixels have no defined range, such as 32-bit pixels."""


class EvaluationImages(Frozen):
    """An evaluation dataset, and where its perceptual hashes are kept once they are computed."""

    manifest_uri: str
    perceptual_hashes_uri: str
