"""Makes the student's batches: labeled and pseudo-labeled images concatenated (Xie et al., section 3.1)."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from workers.data.errors import BrokenImage, ShardReadError
from workers.data.order.lanes import Layout, Stream, share_of
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason
from workers.training.input.noise import Pixels
from workers.training.input.pseudo_targets import Target
from workers.training.input.sources import SampleSource
from workers.training.input.training_images import Sample

_MAX_BROKEN_IN_A_ROW = 1000
_BATCHES_AHEAD = 4
"""How many batches each loader process prepares ahead."""


@dataclass(frozen=True)
class Batch:
    """The input of one step: `images` is uint8 (batch, size, size, 3), `targets` is float32 (batch, classes).

    The first `labeled` images are labeled, the others pseudo-labeled.
    """

    images: torch.Tensor
    targets: torch.Tensor
    labeled: int

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from which a GPU copies while it computes. DataLoader calls this."""
        return Batch(self.images.pin_memory(), self.targets.pin_memory(), self.labeled)


@dataclass(frozen=True)
class StreamPart:
    """A source, and how many of its images each step has over all workers."""

    source: SampleSource
    images_a_step: int


@dataclass(frozen=True)
class Worker:
    """One of the workers that share each step's images."""

    rank: int
    world_size: int


MakePicture = Callable[[Sample, random.Random], Pixels]
"""Decodes and augments a sample. Raises BrokenImage."""


class BatchStream(IterableDataset[Batch]):
    """The endless batches of one worker, from `start_step` on (docs.pytorch.org, torch.utils.data.IterableDataset).

    The samples of a step, and their augmentation, depend on nothing but the seed, the step and the layout: neither on
    the number of workers and loader processes, nor on where the training was interrupted. Of W loader processes, each
    makes every W-th step, in the order in which DataLoader asks them.

    A broken image is replaced by another one of the same batch, with another augmentation: batches keep their size.
    """

    def __init__(
        self,
        parts: list[StreamPart],
        make_picture: MakePicture,
        seed: int,
        worker: Worker,
        layout: Layout,
        start_step: int,
    ) -> None:
        self._parts = [part for part in parts if part.images_a_step > 0]
        self._make_picture = make_picture
        self._seed = seed
        self._worker = worker
        self._layout = layout
        self._start_step = start_step
        if not any(share_of(part.images_a_step, worker.rank, worker.world_size) for part in self._parts):
            images = max((part.images_a_step for part in self._parts), default=0)
            raise StageError(
                FailureReason.USER_ERROR,
                f"recipe.batch_size: of {images} images a step, worker {worker.rank} of {worker.world_size} gets none",
            )

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        process, processes = (info.id, info.num_workers) if info else (0, 1)
        readers = [self._reader(number, part) for number, part in enumerate(self._parts)]
        for step in itertools.count(self._start_step + process, processes):
            rows = [reader.rows_of_step(step) for reader in readers]
            images = [image for part in rows for image in part.images]
            targets = [target for part in rows for target in part.targets]
            yield Batch(_stacked(images), torch.from_numpy(np.stack(targets)), len(rows[0].images))

    def _reader(self, number: int, part: StreamPart) -> "_PartReader":
        stream = Stream(part.source.rows_per_shard, self._seed, part.images_a_step, self._layout)
        return _PartReader(number, part, stream, self._make_picture, self._seed, self._worker)


def batch_loader(stream: BatchStream, loader_processes: int, pin_memory: bool) -> Iterator[Batch]:
    """The stream's batches, made in this process or in `loader_processes` others.

    Raises ShardReadError and StageError as the stream does.
    """
    loader = DataLoader(
        _ToldStream(stream),
        batch_size=None,
        num_workers=loader_processes,
        pin_memory=pin_memory,
        prefetch_factor=_BATCHES_AHEAD if loader_processes else None,
        worker_init_fn=_use_one_thread,
    )
    return map(_batch_of, iter(loader))


def _use_one_thread(_: int) -> None:
    """Keeps pyarrow to one thread, as torch and OpenCV are: a thread for each core in each process would crowd them."""
    pa.set_cpu_count(1)


_Told = Batch | ShardReadError | StageError


class _ToldStream(IterableDataset[_Told]):
    """A stream that yields its error as the last item.

    If a loader process raises an error whose arguments are not one text, DataLoader raises a RuntimeError instead, and
    the reason would be lost.
    """

    def __init__(self, stream: BatchStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[_Told]:
        try:
            yield from self._stream
        except (ShardReadError, StageError) as error:
            yield error


def _batch_of(told: _Told) -> Batch:
    if isinstance(told, Batch):
        return told
    raise told


@dataclass(frozen=True)
class _Rows:
    images: list[Pixels]
    targets: list[Target]


class _PartReader:
    """One worker's share of one source in each step."""

    def __init__(
        self, number: int, part: StreamPart, stream: Stream, make_picture: MakePicture, seed: int, worker: Worker
    ) -> None:
        self._number = number
        self._source = part.source
        self._images_a_step = part.images_a_step
        self._stream = stream
        self._make_picture = make_picture
        self._seed = seed
        self._slots = share_of(part.images_a_step, worker.rank, worker.world_size)

    def rows_of_step(self, step: int) -> _Rows:
        """The rows of this worker's slots. Raises StageError(BAD_DATA) if no image can be read."""
        places = [step * self._images_a_step + slot for slot in self._slots]
        read = {place: self._read(place, place) for place in places}
        rows = [row for row in read.values() if row is not None]
        readable = [place for place in places if read[place] is not None]
        broken = [place for place in places if read[place] is None]
        for number, place in enumerate(broken):
            stand_in = readable[number % len(readable)] if readable else self._next_readable(places[-1])
            row = self._read(stand_in, place)
            assert row is not None
            rows.append(row)
        return _Rows([image for image, _ in rows], [target for _, target in rows])

    def _read(self, place: int, augmented_as: int) -> tuple[Pixels, Target] | None:
        """The image at a place of the stream, and its target; None if the image is broken."""
        shard, row = self._stream.at(place)
        data, target = self._source.sample(shard, row)
        draws = random.Random(f"{self._seed}/{self._number}/{augmented_as}")
        try:
            return self._make_picture(Sample((self._number, shard, row), data), draws), target
        except BrokenImage:
            return None

    def _next_readable(self, place: int) -> int:
        """The first place after `place` whose image can be read. It is needed if all images of a share are broken."""
        for later in range(place + 1, place + 1 + _MAX_BROKEN_IN_A_ROW):
            if self._read(later, later) is not None:
                return later
        raise StageError(FailureReason.BAD_DATA, f"{_MAX_BROKEN_IN_A_ROW} unreadable training images in a row")


def _stacked(images: list[Pixels]) -> torch.Tensor:
    # np.stack would keep the memory order of pictures that were flipped or resized plane by plane.
    batch = np.empty((len(images), *images[0].shape), dtype=np.uint8)
    for place, image in enumerate(images):
        batch[place] = image
    return torch.from_numpy(batch)
