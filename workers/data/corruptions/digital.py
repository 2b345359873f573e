"""What cameras and files do: contrast, elastic deformation, coarse pixels, JPEG."""

import cv2
import numpy as np
import numpy.typing as npt

from workers.data.corruptions.blurs import gaussian, moved

Picture = npt.NDArray[np.float32]

_CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
# (displacement, smoothness of the displacement, shift of the corners) as shares of the side.
_ELASTIC = ((2.0, 0.7, 0.1), (2.0, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
_PIXELS = (0.6, 0.5, 0.4, 0.3, 0.25)
_QUALITY = (25, 18, 15, 10, 7)


def contrast(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """Less difference from the mean colour."""
    mean = picture.mean(axis=(0, 1), keepdims=True)
    return ((picture - mean) * np.float32(_CONTRAST[level]) + mean).astype(np.float32)


def elastic_transform(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """Stretched and contracted in small regions, after a slight affine transformation."""
    displacement, smoothness, shift = _ELASTIC[level]
    height, width = picture.shape[:2]
    side = min(height, width)
    corners = np.array([[0.3, 0.3], [0.7, 0.3], [0.3, 0.7]], dtype=np.float32) * np.float32([width, height])
    jitter = generator.uniform(-shift * side / 2, shift * side / 2, corners.shape).astype(np.float32)
    affine = cv2.getAffineTransform(corners, corners + jitter)
    bent = cv2.warpAffine(picture, affine, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    steps = [
        gaussian(generator.uniform(-1, 1, (height, width)).astype(np.float32), smoothness * side)
        * np.float32(displacement * side)
        for _ in range(2)
    ]
    return moved(bent, steps[0], steps[1])


def pixelate(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """Coarse pixels."""
    height, width = picture.shape[:2]
    coarse = (max(1, round(width * _PIXELS[level])), max(1, round(height * _PIXELS[level])))
    return cv2.resize(cv2.resize(picture, coarse, interpolation=cv2.INTER_AREA), (width, height), interpolation=0)


def jpeg_compression(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """Through a JPEG file of low quality."""
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    _, file = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY[level]])
    return cv2.imdecode(file, cv2.IMREAD_COLOR)[:, :, ::-1].astype(np.float32) / 255
