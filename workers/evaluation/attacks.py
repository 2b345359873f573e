"""Adversarial images in the maximum norm: one gradient step (FGSM) and many (PGD)."""

from collections.abc import Callable

import torch
from torch import nn

Logits = Callable[[torch.Tensor], torch.Tensor]


def fgsm(logits: Logits, pixels: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Goodfellow et al. 2014: one step of `epsilon` up the loss. `pixels` is float (images, 3, h, w) in 0..1."""
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
    """Madry et al. 2017: steps from a random start, each brought back to within `epsilon` of the picture."""
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
