"""The noises of ImageNet-C, which act on each pixel: their strengths do not depend on the picture's size."""

import numpy as np

from workers.data.corruptions.picture import Picture

GAUSSIAN = (0.08, 0.12, 0.18, 0.26, 0.38)
PHOTONS = (60.0, 25.0, 12.0, 5.0, 3.0)
_IMPULSES = (0.03, 0.06, 0.09, 0.17, 0.27)


def gaussian_noise(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """The noise of a sensor in the dark. `level` is the severity minus 1, here and in all corruptions."""
    return add_gaussian(picture, GAUSSIAN[level], generator)


def shot_noise(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """The noise of few photons, which is Poisson distributed."""
    return count_photons(picture, PHOTONS[level], generator)


def impulse_noise(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """Salt and pepper: a share of the values becomes black or white."""
    drawn = generator.random(picture.shape, dtype=np.float32)
    half = _IMPULSES[level] / 2
    return np.where(drawn < half, np.float32(0), np.where(drawn > 1 - half, np.float32(1), picture))


def add_gaussian(picture: Picture, deviation: float, generator: np.random.Generator) -> Picture:
    """Adds Gaussian noise of a standard deviation, for pictures of 0..1."""
    return picture + np.float32(deviation) * generator.standard_normal(picture.shape, dtype=np.float32)


def count_photons(picture: Picture, photons: float, generator: np.random.Generator) -> Picture:
    """Counts photons, of which a white value has `photons` on average."""
    return (generator.poisson(picture * photons) / photons).astype(np.float32)
