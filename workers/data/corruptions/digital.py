"""The digital corruptions of ImageNet-C: contrast, elastic deformation, coarse pixels, JPEG."""

import cv2
import numpy as np

from workers.data.corruptions.blurs import gaussian, moved
from workers.data.corruptions.picture import Picture, as_floats

_CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
# (displacement, smoothness of the displacement, shift of the corners) as shares of the side.
_ELASTIC = ((2.0, 0.7, 0.1), (2.0, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
_PIXELS = (0.6, 0.5, 0.4, 0.3, 0.25)
_QUALITY = (25, 18, 15, 10, 7)


def contrast(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """A picture with less contrast: colours move towards their mean."""
    mean: Picture = picture.mean(axis=(0, 1), keepdims=True)
    return (picture - mean) * np.float32(_CONTRAST[level]) + mean


def elastic_transform(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """A picture that is stretched and contracted in small regions, after a slight affine transformation."""
    displacement, smoothness, shift = _ELASTIC[level]
    height, width = picture.shape[:2]
    side = min(height, width)
    size = np.array([width, height], dtype=np.float32)
    corners = np.array([[0.3, 0.3], [0.7, 0.3], [0.3, 0.7]], dtype=np.float32) * size
    jitter = generator.uniform(-shift * side / 2, shift * side / 2, corners.shape).astype(np.float32)
    affine = cv2.getAffineTransform(corners, corners + jitter)
    bent = as_floats(cv2.warpAffine(picture, affine, (width, height), borderMode=cv2.BORDER_REFLECT_101))
    steps = [
        gaussian(generator.uniform(-1, 1, (height, width)).astype(np.float32), smoothness * side)
        * np.float32(displacement * side)
        for _ in range(2)
    ]
    return moved(bent, steps[0], steps[1])


def pixelate(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """A picture of coarse pixels."""
    height, width = picture.shape[:2]
    coarse = (max(1, round(width * _PIXELS[level])), max(1, round(height * _PIXELS[level])))
    small = cv2.resize(picture, coarse, interpolation=cv2.INTER_AREA)
    return as_floats(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST))


def jpeg_compression(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """A picture that was saved as a JPEG of low quality."""
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    _, file = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY[level]])
    decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert decoded is not None  # OpenCV has just encoded it
    return decoded[:, :, ::-1].astype(np.float32) / np.float32(255)
