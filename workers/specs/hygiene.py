"""Images that training must not use: broken ones, and copies of evaluation images."""

from enum import StrEnum
from typing import Literal

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


JudgedOn = Literal["validation", "test"]
"""The evaluation images by which something is chosen: validation images, or test images where someone asked for it."""


class FingerprintedImages(Frozen):
    """A dataset, and where the fingerprints of its images are kept once they are made."""

    manifest_uri: str
    fingerprints_uri: str


class ComparedSet(Frozen):
    """An evaluation set that images were compared with."""

    dataset_id: str
    images: int
    missing: int
    """Images without bytes to compare: their files are missing or empty."""
    without_look: int
    """Images that were compared byte for byte only: they are broken, or too flat to be told from others."""


LEAKAGE_FILE = "leakage.json"
"""The file with a `LeakageCheck` in the label folder. Selection reads it."""


class LeakageCheck(Frozen):
    """What the images of a pool were compared with, and what follows for near duplicates."""

    sets: tuple[ComparedSet, ...]
    near_duplicate_distance: int
    """In how many bits near duplicates may differ; 0 if none were looked for."""
    look_alike_share: float | None
    """The share of evaluation images that look like another one; None if that cannot be told."""
    photographs: bool
    """Whether so few evaluation images look alike that a near duplicate is a copy. Selection then drops it, unless the
    run's `near_duplicates` says otherwise."""
