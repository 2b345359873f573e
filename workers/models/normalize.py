"""Turns uint8 pictures into a network's input, on whatever device they are."""

import torch


def normalized(images: torch.Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> torch.Tensor:
    """uint8 (batch, height, width, 3) to float32 (batch, 3, height, width): (image / 255 - mean) / std.

    The result is in channels-last memory format, as the input lies in memory already.
    """
    batch, height, width, channels = images.shape
    # A row of the picture is one long vector for the processor, where a pixel's three numbers are a very short one.
    scale = torch.tensor([1 / (255 * s) for s in std], device=images.device).repeat(width)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=images.device).repeat(width)
    rows = images.reshape(batch, height, width * channels).float()
    torch.addcmul(shift, rows, scale, out=rows)
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)
