"""Mixup and CutMix: images of a batch are mixed in pairs, and their targets alike."""

import math
import random

import torch

from workers.specs.optimization import Mixing


def mixed_batch(
    images: torch.Tensor, targets: torch.Tensor, labeled: int, mixing: Mixing, draws: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """The batch, (images, channels, height, width), with each image mixed with another one of its kind.

    The first `labeled` images are labeled, the others pseudo-labeled. `targets` are (images, classes). All randomness
    comes from `draws`. The images of a kind share one draw, and their partners are the images in reverse order, as in
    timm's `Mixup`.
    """
    parts = []
    for kind, part in (("labeled", slice(0, labeled)), ("pseudo_labeled", slice(labeled, None))):
        pair = (images[part], targets[part])
        parts.append(_mixed(*pair, mixing, draws) if mixing.images in (kind, "both") else pair)
    return torch.cat([part for part, _ in parts]), torch.cat([part for _, part in parts])


def _mixed(
    images: torch.Tensor, targets: torch.Tensor, mixing: Mixing, draws: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    if len(images) < 2 or draws.random() >= mixing.probability:
        return images, targets
    both = mixing.mixup_alpha > 0 and mixing.cutmix_alpha > 0
    cuts = draws.random() < mixing.cutmix_probability if both else mixing.cutmix_alpha > 0
    alpha = mixing.cutmix_alpha if cuts else mixing.mixup_alpha
    own = draws.betavariate(alpha, alpha)
    if cuts:
        images, own = _with_box(images, images.flip(0), own, draws)
    else:
        images = images * own + images.flip(0) * (1 - own)
    return images, targets * own + targets.flip(0) * (1 - own)


def _with_box(
    images: torch.Tensor, partners: torch.Tensor, own: float, draws: random.Random
) -> tuple[torch.Tensor, float]:
    """The images with a box of their partners, and the share of the pixels that stayed (Yun et al. 2019, section 3.1).

    The box has a share of 1 - `own` of each side's square root. It is cut off at the border.
    """
    height, width = images.shape[-2:]
    side = math.sqrt(1 - own)
    down, across = int(height * side), int(width * side)
    middle_y, middle_x = draws.randrange(height), draws.randrange(width)
    top, bottom = max(0, middle_y - down // 2), min(height, middle_y + down // 2)
    left, right = max(0, middle_x - across // 2), min(width, middle_x + across // 2)
    cut = images.clone()
    cut[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
    return cut, 1 - (bottom - top) * (right - left) / (height * width)
