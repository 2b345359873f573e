"""The loss of Noisy Student Training: cross-entropy of one concatenated batch."""

import torch
import torch.nn.functional as F


def noisy_student_loss(logits: torch.Tensor, targets: torch.Tensor, images: float | None = None) -> torch.Tensor:
    """The cross-entropy of predictions and target distributions, summed and divided by `images`, as a scalar.

    `logits` and `targets` are (batch, classes). By default the sum is divided by the size of the batch. The batch has
    labeled and pseudo-labeled images concatenated, so that this mean weighs both parts by their sizes (Xie et al.,
    section 3.1). A row of targets may sum to the weight of its image instead of 1: it then counts that many times.
    """
    total = -(targets * F.log_softmax(logits.float(), dim=1)).sum()
    return total / (len(logits) if images is None else images)


def images_of_a_worker(images_a_step: int, world_size: int) -> float:
    """What each worker divides its sum of losses by, whatever the number of its own images.

    DistributedDataParallel takes the mean of the workers' gradients. With this divisor that mean is the gradient of
    one process which has all of the step's images: every image counts alike, however unequal the shares are.
    """
    return images_a_step / world_size


def labeled_targets(labels: list[int], num_classes: int, smoothing: float) -> torch.Tensor:
    """One-hot rows with label smoothing, (labels, num_classes): `smoothing` is spread evenly (Szegedy et al. 2016)."""
    one_hot = F.one_hot(torch.tensor(labels, dtype=torch.long), num_classes).float()
    return one_hot * (1 - smoothing) + smoothing / num_classes
