"""Makes adversarial images in the maximum norm, by FGSM or PGD (Xie et al., section 3.4)."""

from collections.abc import Callable

import torch
from torch import nn

Logits = Callable[[torch.Tensor], torch.Tensor]
"""Pixels, float (images, 3, height, width) in 0..1, to logits, (images, classes)."""


def fgsm(logits: Logits, pixels: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Moves each pixel by `epsilon` in the direction that raises the loss: FGSM (Goodfellow et al. 2014)."""
    return (pixels + epsilon * _gradient(logits, pixels, labels).sign()).clamp(0, 1)


def pgd(
    logits: Logits,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    epsilon: float,
    steps: int,
    step_size: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Takes steps of `step_size` from a random start, within `epsilon` of each pixel: PGD (Madry et al. 2017)."""
    start = torch.rand(pixels.shape, generator=generator).to(pixels.device) * 2 - 1
    attacked = (pixels + epsilon * start).clamp(0, 1)
    for _ in range(steps):
        attacked = attacked + step_size * _gradient(logits, attacked, labels).sign()
        attacked = attacked.clamp(pixels - epsilon, pixels + epsilon).clamp(0, 1)
    return attacked


def _gradient(logits: Logits, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    asked = pixels.detach().requires_grad_(True)
    loss = nn.functional.cross_entropy(logits(asked), labels)
    return torch.autograd.grad(loss, asked)[0]
