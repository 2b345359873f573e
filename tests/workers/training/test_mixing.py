"""Mixup and CutMix of a batch."""

import random

import pytest
import torch

from workers.specs.optimization import Mixing
from workers.training.mixing import mixed_batch


def _batch(labeled: int, pseudo: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Image i is everywhere i, and its target says the same."""
    count = labeled + pseudo
    images = torch.arange(count).float().reshape(-1, 1, 1, 1).expand(count, 3, 8, 8).clone()
    return images, torch.eye(count)


@pytest.mark.parametrize("mixing", [Mixing(cutmix_alpha=0), Mixing(mixup_alpha=0), Mixing()])
def test_a_target_says_what_share_of_the_pixels_is_of_which_image(mixing: Mixing) -> None:
    images, targets = _batch(4, 6)
    mixed, told = mixed_batch(images, targets, 4, mixing, random.Random(1))
    assert not torch.equal(mixed, images)
    assert torch.allclose(told.sum(dim=1), torch.ones(10))
    # The mean of an image's pixels is that of the images that its target names, by their shares.
    assert torch.allclose(mixed.mean(dim=(1, 2, 3)), told @ torch.arange(10).float(), atol=1e-4)


def test_cutmix_keeps_whole_pixels_and_mixup_blends_them() -> None:
    images, targets = _batch(4, 0)
    cut, _ = mixed_batch(images, targets, 4, Mixing(mixup_alpha=0), random.Random(1))
    blended, _ = mixed_batch(images, targets, 4, Mixing(cutmix_alpha=0), random.Random(1))
    assert torch.equal(cut, cut.round())
    assert not torch.equal(blended, blended.round())


@pytest.mark.parametrize(("which", "touched"), [("labeled", {0, 1, 2, 3}), ("pseudo_labeled", {4, 5, 6, 7, 8, 9})])
def test_only_the_images_asked_for_are_mixed_and_only_with_their_kind(which: str, touched: set[int]) -> None:
    images, targets = _batch(4, 6)
    mixing = Mixing.model_validate({"images": which, "cutmix_alpha": 0})
    mixed, told = mixed_batch(images, targets, 4, mixing, random.Random(1))
    assert {row for row in range(10) if not torch.equal(mixed[row], images[row])} == touched
    assert float(told[:4, 4:].sum()) == float(told[4:, :4].sum()) == 0


def test_a_lone_image_stays_as_it_is() -> None:
    images, targets = _batch(1, 0)
    mixed, told = mixed_batch(images, targets, 1, Mixing(), random.Random(1))
    assert torch.equal(mixed, images)
    assert torch.equal(told, targets)


def test_mixing_is_drawn_as_often_as_asked() -> None:
    images, targets = _batch(4, 0)
    draws = random.Random(0)
    kept = sum(
        torch.equal(mixed_batch(images, targets, 4, Mixing(probability=0.25), draws)[0], images) for _ in range(400)
    )
    assert 260 < kept < 340


def test_mixing_that_would_do_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="mixes nothing"):
        Mixing(mixup_alpha=0, cutmix_alpha=0)
