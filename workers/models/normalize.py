"""Turns uint8 pictures into a network's input, on the device where they are."""

import torch


def normalized(images: torch.Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> torch.Tensor:
    """Normalises images: (image / 255 - mean) / std.

    Takes uint8 (batch, height, width, 3), and returns float32 (batch, 3, height, width) in channels-last memory format,
    in which the input already lies.
    """
    batch, height, width, channels = images.shape
    # Whole rows are long vectors for the processor; the three numbers of a pixel would be a very short one.
    scale = torch.tensor([1 / (255 * s) for s in std], device=images.device).repeat(width)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=images.device).repeat(width)
    rows = images.reshape(batch, height, width * channels).float()
    torch.addcmul(shift, rows, scale, out=rows)
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)
