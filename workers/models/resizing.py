"""Pillow's filters for bytes, as torch implements them: at a third of the cost, and for fractions of pixels."""

import numpy as np
import numpy.typing as npt
import torch

from workers.specs.initialization import Interpolation


def resized_planes(
    pixels: npt.NDArray[np.uint8],
    size: tuple[int, int],
    part: tuple[float, float] | None = None,
    interpolation: Interpolation = "bicubic",
) -> torch.Tensor:
    """Resizes RGB pixels, (height, width, 3), to `size` (width, height). Returns colour planes, uint8 (3, height,
    width).

    `part` is the width and height that are shown, from the upper left; all of `pixels` by default. It may end within a
    pixel, because a picture may not fill its last decoded pixels.
    """
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]  # channels last in memory, which the filter needs
    across, down = part or (pixels.shape[1], pixels.shape[0])
    # torch.nn.functional.interpolate takes either a size or a scale, and would show whole pixels.
    scales = size[1] / down, size[0] / across
    aten = torch.ops.aten
    resize = aten._upsample_bicubic2d_aa if interpolation == "bicubic" else aten._upsample_bilinear2d_aa
    resized: torch.Tensor = resize(planes, [size[1], size[0]], False, *scales)
    return resized[0]
