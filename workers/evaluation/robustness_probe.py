"""Corrupts, perturbs and attacks sampled pictures, and counts the model's errors on them. Lives in an actor."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from workers.data.corruptions import corrupt, generator_of
from workers.data.corruptions.sequences import flips, sequence
from workers.data.shards.shard_readers import ShardImages
from workers.evaluation import robustness_sums as sums
from workers.evaluation.attacks import fgsm, pgd
from workers.evaluation.work_items import WorkItem
from workers.models.clean_batches import CleanPicture, clean_picture
from workers.models.predictor import Predictor
from workers.specs.robustness import AdversarialSettings, CorruptionSettings, RobustnessSettings, StabilitySettings

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3), or several of them: (pictures, height, width, 3)."""


class RobustnessProbe:
    """Probes the robustness of a model on pieces of one dataset (Xie et al., sections 3.3 and 3.4).

    The corruption, perturbation or attack of a picture depends on nothing but its dataset and row.
    """

    def __init__(self, predictor: Predictor, settings: RobustnessSettings, dataset_id: str) -> None:
        self._predictor = predictor
        self._settings = settings
        self._dataset_id = dataset_id

    def probe(self, item: WorkItem, sample: ShardImages) -> Counter[str]:
        """The counts of one piece. `sample` is its rows, in their order. Broken pictures are left out."""
        places, pictures = self._pictures(sample)
        if not places:
            return Counter()
        labels = np.array(sample.labels or [])[places]
        keys = [f"{self._dataset_id}/{item.shard}/{item.rows[place]}" for place in places]
        match item.kind:
            case "corruptions":
                return self._corruptions(pictures, labels, keys, self._settings.corruptions or CorruptionSettings())
            case "stability":
                return self._stability(pictures, keys, self._settings.stability or StabilitySettings())
            case "adversarial":
                asked = self._settings.adversarial or AdversarialSettings()
                return self._adversarial(np.stack(pictures), labels, keys, asked)
            case "judge":
                raise ValueError("judging is not the probe's")

    def _pictures(self, sample: ShardImages) -> tuple[list[int], list[Pixels]]:
        """The pictures that can be decoded, and their places in `sample`."""
        places, pictures = [], []
        for place, image in enumerate(sample.images):
            picture = clean_picture(image, self._predictor.card)
            if isinstance(picture, CleanPicture):
                pictures.append(picture.pixels)
                places.append(place)
        return places, pictures

    def _corruptions(
        self, pictures: list[Pixels], labels: npt.NDArray[np.int64], keys: list[str], asked: CorruptionSettings
    ) -> Counter[str]:
        counts = Counter({sums.CORRUPTION_IMAGES: len(labels)})
        counts[sums.CLEAN_ERRORS] = int((self._classes(np.stack(pictures)) != labels).sum())
        for kind in asked.kinds:
            for severity in asked.severities:
                corrupted = np.stack(
                    [
                        corrupt(picture, kind, severity, generator_of(key, kind, severity))
                        for picture, key in zip(pictures, keys, strict=True)
                    ]
                )
                counts[sums.corruption_key(kind, severity)] = int((self._classes(corrupted) != labels).sum())
        return counts

    def _stability(self, pictures: list[Pixels], keys: list[str], asked: StabilitySettings) -> Counter[str]:
        counts = Counter({sums.SEQUENCES: len(pictures)})
        for kind in asked.kinds:
            for picture, key in zip(pictures, keys, strict=True):
                predicted = self._classes(sequence(picture, kind, asked.frames, generator_of(key, kind)))
                counts[sums.flips_key(kind)] += flips(predicted, kind)
        return counts

    def _adversarial(
        self, pictures: Pixels, labels: npt.NDArray[np.int64], keys: list[str], asked: AdversarialSettings
    ) -> Counter[str]:
        counts = Counter({sums.ADVERSARIAL_IMAGES: len(labels)})
        generator = torch.Generator().manual_seed(int(generator_of(*keys).integers(2**62)))
        for start in range(0, len(labels), self._predictor.batch_size):
            truth = torch.from_numpy(labels[start : start + self._predictor.batch_size]).to(self._predictor.device)
            batch = torch.from_numpy(pictures[start : start + self._predictor.batch_size]).to(self._predictor.device)
            pixels = batch.permute(0, 3, 1, 2).float() / 255
            for name, attacked in self._attacked(pixels, truth, asked, generator):
                counts[name] += int((self._logits(attacked).argmax(dim=1) == truth).sum())
        return counts

    def _attacked(
        self, pixels: torch.Tensor, truth: torch.Tensor, asked: AdversarialSettings, generator: torch.Generator
    ) -> Iterator[tuple[str, torch.Tensor]]:
        yield sums.CLEAN_CORRECT, pixels
        for epsilon in asked.epsilons:
            yield sums.attack_key("fgsm", epsilon), fgsm(self._logits, pixels, truth, epsilon / 255)
            size = asked.pgd_step_size / 255
            found = pgd(self._logits, pixels, truth, epsilon / 255, asked.pgd_steps, size, generator)
            yield sums.attack_key("pgd", epsilon), found

    def _logits(self, pixels: torch.Tensor) -> torch.Tensor:
        card = self._predictor.card
        mean = torch.tensor(card.mean, device=pixels.device).view(1, 3, 1, 1)
        std = torch.tensor(card.std, device=pixels.device).view(1, 3, 1, 1)
        logits: torch.Tensor = self._predictor.model((pixels - mean) / std)
        return logits

    def _classes(self, pixels: Pixels) -> npt.NDArray[np.int64]:
        best: npt.NDArray[np.int64] = self._predictor.predict_pixels(pixels).argmax(axis=1)
        return best
