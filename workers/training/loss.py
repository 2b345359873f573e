"""The loss of Noisy Student Training: cross-entropy of one concatenated batch."""

import torch
import torch.nn.functional as F


def noisy_student_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of predictions and target distributions, as a scalar.

    `logits` and `targets` are (batch, classes). The batch has labeled and pseudo-labeled images concatenated, so that
    the mean weighs both parts by their sizes, as the authors' code does (Xie et al., section 3.1).
    """
    return -(targets * F.log_softmax(logits.float(), dim=1)).sum(dim=1).mean()


def labeled_targets(labels: list[int], num_classes: int, smoothing: float) -> torch.Tensor:
    """One-hot rows with label smoothing, (labels, num_classes): `smoothing` is spread evenly (Szegedy et al. 2016)."""
    one_hot = F.one_hot(torch.tensor(labels, dtype=torch.long), num_classes).float()
    return one_hot * (1 - smoothing) + smoothing / num_classes
