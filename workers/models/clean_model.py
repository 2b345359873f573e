"""A trained model on one device in eval mode, without noise: from clean pixels to logits."""

import math

import numpy as np
import numpy.typing as npt
import torch

from workers.models.files import load_model
from workers.models.normalize import normalized
from workers.models.precision import autocast, precision_on
from workers.models.torchscript import frozen
from workers.specs.labeling import Views

_CACHED_PICTURES = 16
"""How many pictures a forward pass on a CPU has. More do not fit into its caches, and each takes a third longer."""


class CleanModel:
    """The model in the folder `folder_uri`, which answers about batches of clean pixels."""

    def __init__(self, folder_uri: str, device: torch.device) -> None:
        self.folder_uri = folder_uri
        self._device = device
        self._on_gpu = device.type == "cuda"
        self._precision = precision_on(device)
        model, self.card = load_model(folder_uri)
        self.model = model.requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        self._answer = self.model if self._on_gpu else frozen(self.model, self.card.image_size)

    def logits(self, crops: npt.NDArray[np.uint8], views: Views) -> torch.Tensor:
        """(pictures, classes) of crops, (pictures, crops, size, size, 3). Each view is a forward pass of its own.

        Of several views, they are the logarithms of the mean probabilities.
        """
        if views.count == 1:
            return self._logits_of_view(torch.from_numpy(crops[:, 0]))
        batches = [torch.from_numpy(crops[:, number]).contiguous() for number in range(crops.shape[1])]
        if views.flip:
            batches += [batch.flip(2) for batch in batches]
        return log_of_mean([self._logits_of_view(batch) for batch in batches])

    def _logits_of_view(self, batch: torch.Tensor) -> torch.Tensor:
        if not self._on_gpu:
            with torch.jit.optimized_execution(False):  # torch would optimise again for each size of batch
                return torch.cat([self._answer(self._normalized(part)) for part in batch.split(_CACHED_PICTURES)])
        with autocast(self._device, self._precision):
            logits: torch.Tensor = self._answer(self._normalized(batch.pin_memory()))
        return logits.float()

    def _normalized(self, batch: torch.Tensor) -> torch.Tensor:
        return normalized(batch.to(self._device, non_blocking=True), self.card.mean, self.card.std)


def log_of_mean(logits: list[torch.Tensor]) -> torch.Tensor:
    """The logarithms of the mean of the probabilities that several logits, each (pictures, classes), stand for."""
    return torch.stack([each.log_softmax(dim=1) for each in logits]).logsumexp(dim=0) - math.log(len(logits))
