"""Turns uint8 pictures into a network's input, on whatever device they are."""

import torch


def normalized(images: torch.Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> torch.Tensor:
    """uint8 (batch, height, width, 3) to float32 (batch, 3, height, width): (image / 255 - mean) / std.

    The result is in channels-last memory format, as the input lies in memory already.
    """
    scale = torch.tensor([1 / (255 * s) for s in std], device=images.device)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=images.device)
    return torch.addcmul(shift, images.float(), scale).permute(0, 3, 1, 2)
