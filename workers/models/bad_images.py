"""When a stage stops for the number of images that it could not read."""

from workers.specs.stages import FailureReason
from workers.stage_reporter import StageError


def check_bad_images(bad: int, images: int, max_bad_fraction: float, where: str) -> None:
    """Raises StageError(BAD_DATA) where more than `max_bad_fraction` of the images are broken, or all of them are."""
    if bad > max_bad_fraction * images or (bad and bad == images):
        share = f"{bad} of {images} images of {where} cannot be read"
        raise StageError(FailureReason.BAD_DATA, f"{share}; max_bad_fraction allows {max_bad_fraction:.3g} of them")
