"""The weather corruptions of ImageNet-C: snow, frost, fog, brightness."""

from functools import lru_cache

import cv2
import numpy as np

from workers.data.corruptions.blurs import streaked, zoomed
from workers.data.corruptions.picture import Picture, Plane, as_floats

# (mean, deviation, zoom, threshold, radius and deviation of the streaks, share of the picture that stays).
SNOW = (
    (0.1, 0.3, 3.0, 0.5, 10.0, 4.0, 0.8),
    (0.2, 0.3, 2.0, 0.5, 12.0, 4.0, 0.7),
    (0.55, 0.3, 4.0, 0.9, 12.0, 8.0, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12.0, 8.0, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12.0, 12.0, 0.55),
)
# (weight of the picture, of the frost).
_FROST = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
# (thickness, decay of the cloud's detail).
_FOG = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))
_BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
_GREY = np.array([0.2989, 0.5870, 0.1140], dtype=np.float32)
_FROST_PANES = 5


def snow(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """A pale picture with falling flakes."""
    mean, deviation, zoom, threshold, radius, streak, kept = SNOW[level]
    height, width = picture.shape[:2]
    flakes = generator.normal(mean, deviation, (height, width)).astype(np.float32)
    flakes = zoomed(flakes, zoom)
    flakes = np.where(flakes < threshold, np.float32(0), np.clip(flakes, 0, 1))
    return snowed(picture, streaked(flakes, radius, streak, generator.uniform(-135, -45)), kept)


def snowed(picture: Picture, flakes: Plane, kept: float) -> Picture:
    """Makes the picture pale, but for the share `kept`, and adds `flakes`, which are in 0..1."""
    pale = np.maximum(picture, (picture @ _GREY)[:, :, None] * 1.5 + 0.5)
    whitened: Picture = np.float32(kept) * picture + np.float32(1 - kept) * pale
    falling: Plane = flakes + np.rot90(flakes, 2)
    return whitened + falling[:, :, None]


def frost(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """A picture behind ice crystals, from one of five generated panes."""
    own, ice = _FROST[level]
    height, width = picture.shape[:2]
    pane = _pane(max(height, width), int(generator.integers(_FROST_PANES)))
    top, left = generator.integers(pane.shape[0] - height + 1), generator.integers(pane.shape[1] - width + 1)
    part = pane[top : top + height, left : left + width]
    return np.float32(own) * picture + np.float32(ice) * part


def fog(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """A picture behind a cloud of fractal noise."""
    thickness, decay = _FOG[level]
    height, width = picture.shape[:2]
    cloud = fractal(max(height, width), decay, generator)[:height, :width, None]
    brightest = float(picture.max())
    return ((picture + thickness * cloud) * brightest / (brightest + thickness)).astype(np.float32)


def brightness(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """A brighter picture, as in strong daylight."""
    return brightened(picture, _BRIGHTNESS[level])


def brightened(picture: Picture, more: float) -> Picture:
    """Adds `more` to the value of each pixel (in hue, saturation and value)."""
    hsv = as_floats(cv2.cvtColor(np.clip(picture, 0, 1), cv2.COLOR_RGB2HSV))
    hsv[..., 2] = np.clip(hsv[..., 2] + more, 0, 1)
    return as_floats(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def fractal(side: int, decay: float, generator: np.random.Generator) -> Plane:
    """Fractal noise, (side, side) in 0..1: octaves, each twice as fine and weaker by `decay` than the last."""
    total = np.zeros((side, side), dtype=np.float32)
    cells, weight = 2, 1.0
    while cells <= 2 * side:
        grid = generator.random((min(cells, side) + 1,) * 2, dtype=np.float32)
        total += np.float32(weight) * cv2.resize(grid, (side, side), interpolation=cv2.INTER_LINEAR)
        cells, weight = 2 * cells, weight / decay
    total -= total.min()
    return total / max(1e-6, float(total.max()))


@lru_cache(maxsize=16)
def _pane(side: int, number: int) -> Picture:
    """A pane of ice, (2 * side, 2 * side, 3) in 0..1: ridges of fractal noise, bluish white, of varying thickness."""
    generator = np.random.Generator(np.random.PCG64(number))
    size = 2 * side
    crystals = np.zeros((size, size), dtype=np.float32)
    for _ in range(3):
        ridges = 1 - np.abs(2 * fractal(size, 1.6, generator) - 1)
        crystals = np.maximum(crystals, ridges**6)
    thickness = 0.35 + 0.65 * fractal(size, 2.5, generator)
    ice = np.clip(0.25 + crystals * thickness, 0, 1)[:, :, None]
    return (ice * np.array([0.88, 0.95, 1.0], dtype=np.float32)).astype(np.float32)
