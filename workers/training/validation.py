"""Measures the top-1 accuracy of the moving average on the validation set, which the workers share."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

from workers.data.corruptions import corrupt_by_row
from workers.data.shards.shard_readers import iterate_batches
from workers.models.clean_batches import clean_batches
from workers.models.normalize import normalized
from workers.runtime.bad_data import require_manifest
from workers.specs.model_card import ModelCard
from workers.specs.stages import TrainSpec
from workers.training.sharding import is_sharded

_BATCH_SIZE = 256
"""How many images of a worker are read at once."""
_DECODED_AT_ONCE = 64
"""The most images of a forward pass. Two more passes' images are decoded meanwhile."""
_NO_CLASS = -1


@dataclass(frozen=True)
class _Pictures:
    """Readable pictures of this worker's share."""

    pixels: npt.NDArray[np.uint8]
    """(pictures, size, size, 3)."""
    labels: torch.Tensor
    rows: list[int]
    """Their places in the validation set."""


def validate(
    model: nn.Module, spec: TrainSpec, card: ModelCard, device: torch.device, rank: int, world_size: int
) -> dict[str, float]:
    """The accuracy in 0..1 over the readable images, as `validation_top1`.

    If the spec asks for it, `validation_corrupted_top1` is the accuracy with each image under a corruption of its own.
    Every worker calls this, and gets the same result. The workers' running statistics must be equal. Threads on the
    worker's CPUs decode the next images while the model computes.
    """
    # Correct, correct under corruption, seen.
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    pictures = _share(spec, card, device, rank, world_size)
    for batch in _as_many_as_others(pictures, card, device) if is_sharded(model) else pictures:
        sums[0] += _count_correct(model, batch.pixels, batch.labels, card, device)
        if spec.validate_corrupted:
            corrupted = batch.pixels.copy()
            for place, row in enumerate(batch.rows):
                corrupted[place] = corrupt_by_row(batch.pixels[place], row)
            sums[1] += _count_correct(model, corrupted, batch.labels, card, device)
        sums[2] += len(batch.rows)
    if world_size > 1:
        dist.all_reduce(sums)
    clean, corrupted_correct, seen = sums.tolist()
    found = {"validation_top1": clean / max(1.0, seen)}
    if spec.validate_corrupted:
        found["validation_corrupted_top1"] = corrupted_correct / max(1.0, seen)
    return found


def _share(spec: TrainSpec, card: ModelCard, device: torch.device, rank: int, world_size: int) -> Iterator[_Pictures]:
    manifest = require_manifest(spec.validation_manifest_uri)
    start = 0
    pieces = (iterate_batches(manifest, shard, _BATCH_SIZE * world_size) for shard in range(len(manifest.shards)))
    with _decoders(spec, device) as decoders:
        for piece in chain.from_iterable(pieces):
            images, labels = piece.images[rank::world_size], torch.tensor((piece.labels or [])[rank::world_size])
            for batch in clean_batches(images, card, _DECODED_AT_ONCE, decoders, with_hashes=False):
                if batch.rows:
                    rows = [start + rank + world_size * row for row in batch.rows]
                    yield _Pictures(batch.pixels, labels[batch.rows], rows)
            start += len(piece.images)


def _as_many_as_others(pictures: Iterator[_Pictures], card: ModelCard, device: torch.device) -> Iterator[_Pictures]:
    """A worker's batches, then a black picture that does not count for each batch that another worker still has.

    A pass through a sharded model is one of all workers, but their shares are unequal, as are the sizes of pictures,
    and pictures may be broken.
    """
    black = np.zeros((1, card.image_size, card.image_size, 3), dtype=np.uint8)
    while True:
        own = next(pictures, None)
        has_more = torch.tensor(own is not None, dtype=torch.int32, device=device)
        dist.all_reduce(has_more, dist.ReduceOp.MAX)
        if not has_more:
            return
        yield _Pictures(black, torch.tensor([_NO_CLASS]), rows=[]) if own is None else own


@contextmanager
def _decoders(spec: TrainSpec, device: torch.device) -> Iterator[Executor | None]:
    """Threads that decode. On a single CPU they would only take turns with a model that computes there."""
    threads = max(1, int(spec.workers.cpus_per_worker))
    if threads == 1 and device.type == "cpu":
        yield None
        return
    with ThreadPoolExecutor(threads, "decode") as pool:
        yield pool


@torch.inference_mode()
def _count_correct(
    model: nn.Module, pixels: npt.NDArray[np.uint8], labels: torch.Tensor, card: ModelCard, device: torch.device
) -> int:
    logits = model(normalized(torch.from_numpy(pixels).to(device), card.mean, card.std))
    return int((logits.argmax(dim=1).cpu() == labels).sum())
