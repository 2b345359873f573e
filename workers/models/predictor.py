"""Clean inference: a trained model turns encoded pictures into probabilities, without noise of any kind."""

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from workers.data.errors import BrokenImage
from workers.models.clean_batches import clean_batches
from workers.models.files import load_model
from workers.models.normalize import normalized
from workers.models.precision import autocast, precision_on
from workers.models.torchscript import frozen
from workers.runtime.stage_reporter import StageError
from workers.specs.labeling import Views
from workers.specs.reports import FailureReason

_CACHED_PICTURES = 16
"""How many pictures a forward pass on a CPU has. More do not fit into its caches, and each takes a third longer."""


@dataclass(frozen=True)
class Predictions:
    """The model's predictions for pictures, in their order."""

    probabilities: npt.NDArray[np.float32]
    """(rows, classes). The row of a broken picture is NaN."""
    broken: dict[int, BrokenImage]
    """By row, why a picture cannot be decoded."""
    hashes: dict[int, int]
    """By row, the perceptual hash of each picture that is not flat."""


class Predictor:
    """A teacher, or a model to evaluate: in eval mode, on one device, without noise (Xie et al., section 2).

    `cpus` is what the scheduler gave this process. They are the model's threads on a CPU, and decoding threads beside a
    GPU. `batch_size` is the number of pictures in a batch. Logits are divided by `temperature`. Of several `views`, the
    mean of their probabilities is the answer; its logarithm stands for the logits then, so that a temperature acts on
    the mean (pool, then calibrate: Rahaman and Thiery 2021).
    """

    def __init__(
        self,
        folder_uri: str,
        device: torch.device | str = "cpu",
        cpus: float = 1.0,
        batch_size: int = 256,
        temperature: float = 1.0,
        views: Views = Views(),
    ) -> None:
        threads = max(1, int(cpus))
        # By default torch starts a thread for every core of the machine, whatever share of it is ours.
        torch.set_num_threads(threads)
        self._folder_uri = folder_uri
        self.device = torch.device(device)
        self._on_gpu = self.device.type == "cuda"
        self._precision = precision_on(self.device)
        model, self.card = load_model(folder_uri)
        self.model = model.requires_grad_(False).to(self.device).to(memory_format=torch.channels_last)
        self._answer = self.model if self._on_gpu else frozen(self.model, self.card.image_size)
        self.batch_size = batch_size
        self._temperature = temperature
        self._views = views
        # On a single CPU threads would only take turns. Beside a GPU even one thread decodes while the GPU computes.
        self._decoders = ThreadPoolExecutor(threads, "decode") if threads > 1 or self._on_gpu else None

    def predict(self, images: Sequence[bytes]) -> Predictions:
        """The class probabilities of any number of encoded pictures. Raises like `predictions`."""
        parts, start = [np.empty((0, len(self.card.classes)), dtype=np.float32)], 0
        broken: dict[int, BrokenImage] = {}
        hashes: dict[int, int] = {}
        for part in self.predictions(images):
            broken.update(_moved(part.broken, start))
            hashes.update(_moved(part.hashes, start))
            parts.append(part.probabilities)
            start += len(part.probabilities)
        return Predictions(np.concatenate(parts), broken, hashes)

    def predictions(self, images: Iterable[bytes]) -> Iterator[Predictions]:
        """Yields the class probabilities of a stream of encoded pictures in batches. Rows count within the batch.

        Raises StageError(USER_ERROR) if the model answers with NaN, because its training diverged.
        """
        start = 0
        for batch in clean_batches(images, self.card, self.batch_size, self._decoders, crops=self._views.crops):
            count = len(batch.rows) + len(batch.broken)
            probabilities = np.full((count, len(self.card.classes)), np.nan, dtype=np.float32)
            if batch.rows:
                probabilities[np.array(batch.rows) - start] = self._probabilities(batch.crops)
            yield Predictions(probabilities, _moved(batch.broken, -start), _moved(batch.hashes, -start))
            start += count

    def predict_pixels(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The class probabilities, (images, classes), of clean pixels, (images, size, size, 3)."""
        parts = range(0, len(pixels), self.batch_size)
        return np.concatenate([self._probabilities(pixels[start : start + self.batch_size, None]) for start in parts])

    def logits(self, images: Sequence[bytes]) -> tuple[npt.NDArray[np.float32], list[int]]:
        """The logits at temperature 1, (readable images, classes), and the rows of the readable images.

        Of several views, they are the logarithms of the mean probabilities.
        """
        rows: list[int] = []
        parts = [np.empty((0, len(self.card.classes)), dtype=np.float32)]
        for batch in clean_batches(
            images, self.card, self.batch_size, self._decoders, with_hashes=False, crops=self._views.crops
        ):
            if batch.rows:
                rows += batch.rows
                parts.append(self._logits(batch.crops).cpu().numpy())
        return np.concatenate(parts), rows

    def _probabilities(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        scaled = self._logits(crops) / self._temperature
        result: npt.NDArray[np.float32] = scaled.softmax(dim=1).cpu().numpy()
        if not np.isfinite(result).all():
            raise StageError(FailureReason.USER_ERROR, f"the model at {self._folder_uri} answers with NaN")
        return result

    @torch.inference_mode()
    def _logits(self, crops: npt.NDArray[np.uint8]) -> torch.Tensor:
        """(pictures, classes) of crops, (pictures, crops, size, size, 3). Each view is a forward pass of its own."""
        if self._views.count == 1:
            return self._logits_of_view(torch.from_numpy(crops[:, 0]))
        views = [torch.from_numpy(crops[:, number]).contiguous() for number in range(crops.shape[1])]
        if self._views.flip:
            views += [view.flip(2) for view in views]
        logs = torch.stack([self._logits_of_view(view).log_softmax(dim=1) for view in views])
        return logs.logsumexp(dim=0) - math.log(len(views))

    def _logits_of_view(self, batch: torch.Tensor) -> torch.Tensor:
        if not self._on_gpu:
            with torch.jit.optimized_execution(False):  # torch would optimise again for each size of batch
                return torch.cat([self._answer(self._normalized(part)) for part in batch.split(_CACHED_PICTURES)])
        with autocast(self.device, self._precision):
            logits: torch.Tensor = self._answer(self._normalized(batch.pin_memory()))
        return logits.float()

    def _normalized(self, batch: torch.Tensor) -> torch.Tensor:
        return normalized(batch.to(self.device, non_blocking=True), self.card.mean, self.card.std)


Said = TypeVar("Said")


def _moved(by_row: dict[int, Said], rows: int) -> dict[int, Said]:
    return {rows + row: said for row, said in by_row.items()}
