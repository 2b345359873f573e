"""The student's input: labeled and pseudo-labeled images in one concatenated batch, augmented a sample at a time."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from workers.data.images import BrokenImage, decode_rgb
from workers.data.sample_order import endless_order
from workers.specs.stages import FailureReason
from workers.stage_reporter import StageError
from workers.training.sources import SHARD_WINDOW, SampleSource

_MAX_BROKEN_IN_A_ROW = 1000
_PICTURE_MEMORY_BYTES = 128 << 20
_BYTES_A_PIXEL = 4  # as Pillow stores RGB


@dataclass(frozen=True)
class Batch:
    """`images` uint8 (batch, size, size, 3), `targets` float32 (batch, classes), and images passed over as broken."""

    images: torch.Tensor
    targets: torch.Tensor
    broken: int


@dataclass(frozen=True)
class StreamPart:
    """One source and how many of its images this rank puts into each batch."""

    source: SampleSource
    images_a_batch: int


class PictureMemory:
    """Decodes each picture once, of as many as fit into `max_bytes`: a small labeled set is read again and again.

    Nothing is pushed out: in a set that does not fit, the first pictures are the ones that are kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._bytes_left = max_bytes
        self._pictures: dict[bytes, Image.Image] = {}

    def decoded(self, data: bytes) -> Image.Image:
        """The RGB picture, not to be changed in place. Raises BrokenImage."""
        picture = self._pictures.get(data)
        if picture is None:
            picture = decode_rgb(data)
            size = len(data) + picture.width * picture.height * _BYTES_A_PIXEL
            if size <= self._bytes_left:
                self._bytes_left -= size
                self._pictures[data] = picture
        return picture


class BatchStream(IterableDataset[Batch]):
    """An endless stream of one rank's batches, the same for the same seed, from `start_step` on.

    With loader processes, process w of W makes the steps s with s % W == w, as DataLoader deals them. Ranks and
    processes never share a sample of an epoch.
    """

    def __init__(
        self,
        parts: list[StreamPart],
        transform: Callable[[Image.Image], np.ndarray],
        seed: int,
        rank: int,
        world_size: int,
        start_step: int,
    ) -> None:
        self._parts = [part for part in parts if part.images_a_batch > 0]
        self._transform = transform
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._start_step = start_step
        self._pictures = PictureMemory(_PICTURE_MEMORY_BYTES)

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        reader, readers = self._rank * workers + worker, self._world_size * workers
        first_step = self._start_step + worker
        batches_made = len(range(worker, self._start_step, workers))
        streams = [
            _samples(part.source, self._seed, reader, readers, skip=batches_made * part.images_a_batch)
            for part in self._parts
        ]
        for step in itertools.count(first_step, workers):
            # The augmentation of a step depends on the seed, the reader and the step alone.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(hash((self._seed, reader, step)) % 2**63)
                random.seed(hash((self._seed, reader, step)))
                batch = self._make_batch(streams)
            yield batch

    def _make_batch(self, streams: list[Iterator[tuple[bytes, np.ndarray]]]) -> Batch:
        images, targets, broken = [], [], 0
        for part, stream in zip(self._parts, streams, strict=True):
            for _ in range(part.images_a_batch):
                picture, target, passed_over = _next_readable(stream, self._pictures)
                images.append(self._transform(picture))
                targets.append(target)
                broken += passed_over
        return Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(targets)), broken)


def batch_loader(stream: BatchStream, loader_processes: int, pin_memory: bool) -> Iterator[Batch]:
    """The stream's batches, made in this process or in `loader_processes` others."""
    return iter(
        DataLoader(
            stream,
            batch_size=None,
            num_workers=loader_processes,
            pin_memory=pin_memory,
            prefetch_factor=4 if loader_processes else None,
        )
    )


def share_of(total: int, rank: int, world_size: int) -> int:
    """This rank's part of `total` images a batch: equal parts, the remainder to the first ranks."""
    return total // world_size + (rank < total % world_size)


def _samples(
    source: SampleSource, seed: int, reader: int, readers: int, skip: int
) -> Iterator[tuple[bytes, np.ndarray]]:
    """A reader's samples without end. Where there are fewer rows than readers, every reader reads all of them."""
    if sum(source.rows_per_shard) < readers:
        seed, reader, readers = seed + reader, 0, 1
    for shard, row in endless_order(source.rows_per_shard, seed, reader, readers, skip, SHARD_WINDOW):
        yield source.sample(shard, row)


def _next_readable(
    stream: Iterator[tuple[bytes, np.ndarray]], pictures: PictureMemory
) -> tuple[Image.Image, np.ndarray, int]:
    for broken in range(_MAX_BROKEN_IN_A_ROW):
        data, target = next(stream)
        try:
            return pictures.decoded(data), target, broken
        except BrokenImage:
            continue
    raise StageError(FailureReason.BAD_DATA, f"{_MAX_BROKEN_IN_A_ROW} unreadable training images in a row")
