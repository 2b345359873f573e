"""The operations of the authors' RandAugment, written anew in numpy from their definition, to compare with."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def reference(image: Pixels, name: str, argument: float) -> Pixels:
    """What the authors' operation makes of the picture, written anew in numpy from its definition."""
    down, across = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] + 0.5
    match name:
        case "AutoContrast":
            low, high = image.min(axis=(0, 1)).astype(float), image.max(axis=(0, 1)).astype(float)
            return _bytes((image - low) * (255 / (high - low)))
        case "Equalize":
            return np.stack([_equalized(image[..., channel]) for channel in range(3)], axis=2)
        case "Invert":
            return np.subtract(255, image, dtype=np.uint8)
        case "Rotate":
            turn, middle = np.deg2rad(argument), np.array(image.shape[1::-1]) / 2
            x, y = across - middle[0], down - middle[1]
            return _looked_up(
                image, middle[0] + np.cos(turn) * x - np.sin(turn) * y, middle[1] + np.sin(turn) * x + np.cos(turn) * y
            )
        case "Posterize":
            lost = max(0, 8 - int(argument))
            return (image.astype(int) >> lost << lost).astype(np.uint8)
        case "Solarize":
            return np.where(image.astype(int) < argument, image, 255 - image).astype(np.uint8)
        case "SolarizeAdd":
            return np.where(image < 128, np.clip(image.astype(int) + int(argument), 0, 255), image).astype(np.uint8)
        case "Color":
            return _blended(image, _grey(image), argument)
        case "Contrast":
            return _blended(image, np.full_like(image, int(_grey(image).mean() + 0.5)), argument)
        case "Brightness":
            return _blended(image, np.zeros_like(image), argument)
        case "Sharpness":
            return _blended(image, _smoothed(image), argument)
        case "ShearX":
            return _looked_up(image, across + argument * down, down)
        case "ShearY":
            return _looked_up(image, across, down + argument * across)
        case "TranslateX":
            return _looked_up(image, across + argument, down)
        case "TranslateY":
            return _looked_up(image, across, down + argument)
    raise AssertionError(name)


def _blended(image: Pixels, other: Pixels, factor: float) -> Pixels:
    mixed = other.astype(float) + factor * (image.astype(float) - other.astype(float))
    return _bytes(mixed)


def _bytes(values: npt.NDArray[np.float64]) -> Pixels:
    """The values cut to 0..255 and rounded down."""
    cut: Pixels = np.clip(values, 0, 255).astype(np.uint8)
    return cut


def _grey(image: Pixels) -> Pixels:
    weighted = image @ np.array([0.299, 0.587, 0.114])
    return np.repeat(np.floor(weighted + 0.5)[..., None], 3, axis=2).astype(np.uint8)


def _looked_up(image: Pixels, across: npt.NDArray[np.float64], down: npt.NDArray[np.float64]) -> Pixels:
    """Each pixel's nearest neighbour at (across, down), or grey where that lies outside of the picture."""
    height, width, _ = image.shape
    x, y = np.floor(across).astype(int), np.floor(down).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    found = np.full_like(image, 128)
    found[inside] = image[y[inside], x[inside]]
    return found


def _equalized(channel: Pixels) -> Pixels:
    counts = np.bincount(channel.ravel(), minlength=256)
    step = (counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
    table = np.concatenate([[0], (np.cumsum(counts) + step // 2)[:-1] // step])
    looked_up: Pixels = np.clip(table, 0, 255).astype(np.uint8)[channel]
    return looked_up


def _smoothed(image: Pixels) -> Pixels:
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = image.astype(float).copy()
    height, width, _ = image.shape
    smooth[1:-1, 1:-1] = sum(
        kernel[dy, dx] * image[dy : height - 2 + dy, dx : width - 2 + dx] for dy in range(3) for dx in range(3)
    )
    return smooth.astype(np.uint8)
