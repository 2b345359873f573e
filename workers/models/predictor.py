"""Clean inference: a trained model turns encoded pictures into probabilities, without noise of any kind."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from workers.data.errors import BrokenImage
from workers.models.clean_batches import CleanBatch, clean_batches
from workers.models.clean_model import CleanModel, log_of_mean
from workers.runtime.stage_reporter import StageError
from workers.specs.labeling import Views
from workers.specs.reports import FailureReason


@dataclass(frozen=True)
class Predictions:
    """The model's predictions for pictures, in their order."""

    probabilities: npt.NDArray[np.float32]
    """(rows, classes). The row of a broken picture is NaN."""
    broken: dict[int, BrokenImage]
    """By row, why a picture cannot be decoded."""
    hashes: dict[int, int]
    """By row, the perceptual hash of each picture that is not flat."""
    without_label: frozenset[int] = frozenset()
    """The rows for which a table of labels has none; a model has one for each picture."""


class MakesPredictions(Protocol):
    """What says something of pictures: a `Predictor`, or a table of labels."""

    def predict(self, images: Sequence[bytes]) -> Predictions: ...

    def predictions(self, images: Iterable[bytes], with_hashes: bool = True) -> Iterator[Predictions]: ...


class Predictor:
    """Teachers, or a model to evaluate: in eval mode, on one device, without noise (Xie et al., section 2).

    `cpus` is what the scheduler gave this process. They are the model's threads on a CPU, and decoding threads beside a
    GPU. `batch_size` is the number of pictures in a batch. Logits are divided by `temperature`. Of several `views`, and
    of `further` models beside the one at `folder_uri`, the mean of the probabilities is the answer; its logarithm
    stands for the logits then, so that a temperature acts on the mean (pool, then calibrate: Rahaman and Thiery 2021).
    """

    def __init__(
        self,
        folder_uri: str,
        device: torch.device | str = "cpu",
        cpus: float = 1.0,
        batch_size: int = 256,
        temperature: float = 1.0,
        views: Views = Views(),
        further: Sequence[str] = (),
    ) -> None:
        """Loads the models from their folders. Raises StageError(USER_ERROR) if their classes are not the same."""
        threads = max(1, int(cpus))
        # By default torch starts a thread for every core of the machine, whatever share of it is ours.
        torch.set_num_threads(threads)
        self.device = torch.device(device)
        models = [CleanModel(uri, self.device) for uri in (folder_uri, *further)]
        _check_classes(models)
        self.model, self.card = models[0].model, models[0].card
        # Models that see a picture in the same way share its pixels.
        preparations = [model.card.preparation for model in models]
        distinct = list(dict.fromkeys(preparations))
        self._further_cards = [models[preparations.index(each)].card for each in distinct[1:]]
        # Sorted, so that the mean is the same to the last bit in whatever order the models are given.
        by_folder = sorted(zip(models, preparations, strict=True), key=lambda pair: pair[0].folder_uri)
        self._models = [(model, distinct.index(preparation)) for model, preparation in by_folder]
        self.batch_size = batch_size
        self._temperature = temperature
        self._views = views
        # On a single CPU threads would only take turns. Beside a GPU even one thread decodes while the GPU computes.
        self._decoders = ThreadPoolExecutor(threads, "decode") if threads > 1 or self.device.type == "cuda" else None

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

    def predictions(self, images: Iterable[bytes], with_hashes: bool = True) -> Iterator[Predictions]:
        """Yields the class probabilities of a stream of encoded pictures in batches. Rows count within the batch.

        Without perceptual hashes, decoding takes less time. Raises StageError(USER_ERROR) if a model answers with NaN,
        because its training diverged.
        """
        start = 0
        for batch in self._batches(images, with_hashes):
            count = len(batch.rows) + len(batch.broken)
            probabilities = np.full((count, len(self.card.classes)), np.nan, dtype=np.float32)
            if batch.rows:
                probabilities[np.array(batch.rows) - start] = self._probabilities([batch.crops, *batch.further])
            yield Predictions(probabilities, _moved(batch.broken, -start), _moved(batch.hashes, -start))
            start += count

    def predict_pixels(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The class probabilities, (images, classes), of clean pixels, (images, size, size, 3)."""
        parts = range(0, len(pixels), self.batch_size)
        return np.concatenate([self._probabilities([pixels[start : start + self.batch_size, None]]) for start in parts])

    def logits(self, images: Sequence[bytes]) -> tuple[npt.NDArray[np.float32], list[int]]:
        """The logits at temperature 1, (readable images, classes), and the rows of the readable images.

        Of several views or models, they are the logarithms of the mean probabilities.
        """
        rows: list[int] = []
        parts = [np.empty((0, len(self.card.classes)), dtype=np.float32)]
        for batch in self._batches(images, with_hashes=False):
            if batch.rows:
                rows += batch.rows
                parts.append(self._logits([batch.crops, *batch.further]).cpu().numpy())
        return np.concatenate(parts), rows

    def _batches(self, images: Iterable[bytes], with_hashes: bool = True) -> Iterator[CleanBatch]:
        crops, cards = self._views.crops, self._further_cards
        return clean_batches(images, self.card, self.batch_size, self._decoders, with_hashes, crops, cards)

    def _probabilities(self, crops: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        scaled = self._logits(crops) / self._temperature
        result: npt.NDArray[np.float32] = scaled.softmax(dim=1).cpu().numpy()
        if not np.isfinite(result).all():
            raise StageError(FailureReason.USER_ERROR, f"the model at {self._diverged(crops)} answers with NaN")
        return result

    @torch.inference_mode()
    def _logits(self, crops: Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
        """(pictures, classes) of crops, each (pictures, crops, size, size, 3): the pictures as models see them."""
        logits = [model.logits(crops[place], self._views) for model, place in self._models]
        return logits[0] if len(logits) == 1 else log_of_mean(logits)

    def _diverged(self, crops: Sequence[npt.NDArray[np.uint8]]) -> str:
        """The folder of the first model whose answers are not finite."""
        for model, place in self._models:
            if not model.logits(crops[place], self._views).isfinite().all():
                return model.folder_uri
        return self._models[0][0].folder_uri


def _check_classes(models: Sequence[CleanModel]) -> None:
    first, *others = models
    for other in others:
        if other.card.classes != first.card.classes:
            raise StageError(
                FailureReason.USER_ERROR,
                f"the classes of {other.folder_uri} are not those of {first.folder_uri}: they cannot label together",
            )


Said = TypeVar("Said")


def _moved(by_row: dict[int, Said], rows: int) -> dict[int, Said]:
    return {rows + row: said for row, said in by_row.items()}
