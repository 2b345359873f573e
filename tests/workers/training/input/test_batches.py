import io
import random
from collections import Counter
from collections.abc import Iterable
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from workers.data.errors import ShardReadError, StoreReadError
from workers.data.images.decode import decode_rgb
from workers.data.order.lanes import Layout
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason
from workers.training.input.batches import Batch, BatchStream, StreamPart, Worker, batch_loader
from workers.training.input.training_images import Sample


class NumberedSource:
    """Pictures whose every pixel says which sample they are. Broken ones are not pictures."""

    def __init__(
        self, rows_per_shard: list[int], classes: int = 2, target: int = 0, broken: frozenset[int] = frozenset()
    ) -> None:
        self.rows_per_shard = rows_per_shard
        self._target = np.eye(classes, dtype=np.float32)[target]
        self._broken = broken
        self._starts = np.cumsum([0, *rows_per_shard])

    def sample(self, shard: int, row: int) -> tuple[bytes, np.ndarray]:
        number = int(self._starts[shard]) + row
        if number in self._broken:
            return b"no picture", self._target
        return encoded(8, number), self._target


def encoded(size: int, value: int = 7) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (value, value, value)).save(buffer, format="PNG")
    return buffer.getvalue()


def numbers(batches: Iterable[Batch]) -> list[int]:
    return [int(image[0, 0, 0]) for batch in batches for image in batch.images]


def noisy_picture(sample: Sample, draws: random.Random) -> np.ndarray:
    """The picture with the random draw for it in a corner."""
    pixels = np.array(decode_rgb(sample.data))
    pixels[-1, -1, 0] = draws.randrange(256)
    return pixels


def stream(
    parts: list[StreamPart],
    rank: int = 0,
    world_size: int = 1,
    start_step: int = 0,
    seed: int = 5,
    layout: Layout | None = None,
) -> BatchStream:
    layout = layout or Layout(world_size)
    return BatchStream(parts, noisy_picture, seed, Worker(rank, world_size), layout, start_step)


def whole_steps(
    parts: list[StreamPart], world_size: int, layout: Layout, start_step: int, steps: int
) -> list[list[bytes]]:
    """The augmented pictures of each step, over all workers."""
    workers = [stream(parts, rank, world_size, start_step, layout=layout) for rank in range(world_size)]
    shares = [[batch.images.numpy() for batch in islice(worker, steps)] for worker in workers]
    return [sorted(image.tobytes() for share in step for image in share) for step in zip(*shares, strict=True)]


def test_an_epoch_of_eight_workers_has_every_copy_once_in_labeled_and_pseudo_labeled_streams_alike() -> None:
    labeled, pseudo = NumberedSource([40, 0, 23, 1]), NumberedSource([3, 90, 55])
    seen: list[Counter[int]] = [Counter(), Counter()]
    for rank in range(8):
        parts = [StreamPart(labeled, 16), StreamPart(pseudo, 37)]
        for batch in islice(stream(parts, rank, world_size=8), 4):
            seen[0].update(numbers([batch])[:2])
            seen[1].update(numbers([batch])[2:])
    assert seen[0] == Counter(range(64))
    assert seen[1] == Counter(range(148))


def test_labeled_and_pseudo_labeled_images_share_each_batch_at_the_ratio() -> None:
    labeled, pseudo = NumberedSource([20], target=0), NumberedSource([90], target=1)
    batch = next(iter(stream([StreamPart(labeled, 2), StreamPart(pseudo, 6)])))
    assert batch.images.shape == (8, 8, 8, 3)
    assert batch.targets.argmax(dim=1).tolist() == [0, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_a_resume_on_any_number_of_workers_goes_on_with_the_same_samples_augmented_in_the_same_way(
    world_size: int,
) -> None:
    parts = [StreamPart(NumberedSource([25, 25]), 8), StreamPart(NumberedSource([60, 3]), 11)]
    whole = whole_steps(parts, 8, Layout(8), start_step=0, steps=16)
    assert whole_steps(parts, world_size, Layout(8), start_step=9, steps=7) == whole[9:]


def test_epochs_are_shuffled_differently_and_seeds_too() -> None:
    part = [StreamPart(NumberedSource([50]), 50)]
    first, second = (numbers([batch]) for batch in islice(stream(part), 2))
    other_seed = numbers(islice(stream(part, seed=6), 1))
    assert sorted(first) == sorted(second) == sorted(other_seed)
    assert first != second
    assert first != other_seed


def test_a_sample_is_augmented_anew_each_epoch() -> None:
    corners = [batch.images[0, -1, -1, 0].item() for batch in islice(stream([StreamPart(NumberedSource([1]), 1)]), 20)]
    assert len(set(corners)) > 10


def test_fewer_samples_than_workers_are_read_equally_often() -> None:
    source = NumberedSource([2])
    seen: Counter[int] = Counter()
    for rank in range(4):
        seen.update(numbers(islice(stream([StreamPart(source, 8)], rank, world_size=4), 3)))
    assert seen == {0: 12, 1: 12}


def test_broken_images_are_passed_over_and_batches_keep_their_size() -> None:
    source = NumberedSource([10], broken=frozenset({3, 7}))
    batches = list(islice(stream([StreamPart(source, 5)]), 2))
    assert [len(batch.images) for batch in batches] == [5, 5]
    seen = Counter(numbers(batches))
    assert set(seen) == set(range(10)) - {3, 7}
    assert seen.total() == 10


def test_a_share_of_broken_images_alone_is_filled_from_the_next_places() -> None:
    source = NumberedSource([4], broken=frozenset({0, 1, 2}))
    batches = list(islice(stream([StreamPart(source, 1)]), 8))
    assert numbers(batches) == [3] * 8


def test_nothing_but_broken_images_ends_the_stage() -> None:
    source = NumberedSource([4], broken=frozenset(range(4)))
    with pytest.raises(StageError, match="1000 unreadable training images in a row"):
        next(iter(stream([StreamPart(source, 2)])))


def test_more_workers_than_images_a_step_are_refused() -> None:
    with pytest.raises(StageError, match=r"recipe.batch_size: of 2 images a step, worker 2 of 3 gets none"):
        stream([StreamPart(NumberedSource([4]), 2)], rank=2, world_size=3)


@pytest.mark.parametrize("layout", [Layout(1, 2), Layout(1, 1)])
def test_loader_processes_read_an_epoch_without_overlap(layout: Layout) -> None:
    source = NumberedSource([48])
    batches = batch_loader(stream([StreamPart(source, 6)], layout=layout), loader_processes=2, pin_memory=False)
    assert sorted(numbers(islice(batches, 8))) == list(range(48))


class EndingSource(NumberedSource):
    """The second shard of the dataset is unreadable."""

    def __init__(self, error: Exception) -> None:
        super().__init__([6, 6])
        self._error = error

    def sample(self, shard: int, row: int) -> tuple[bytes, np.ndarray]:
        if shard == 1:
            raise self._error
        return super().sample(shard, row)


@pytest.mark.parametrize("loader_processes", [0, 2])
@pytest.mark.parametrize(
    "error",
    [
        ShardReadError("s3://pictures/7.tar", "truncated"),
        StoreReadError("s3://pictures/7.tar", "the storage does not give it"),
        StageError(FailureReason.BAD_DATA, "no labels"),
    ],
)
def test_what_cannot_be_read_is_told_by_a_loader_process_as_it_was_raised(
    error: Exception, loader_processes: int
) -> None:
    batches = batch_loader(stream([StreamPart(EndingSource(error), 2)]), loader_processes, pin_memory=False)
    with pytest.raises(type(error)) as raised:
        list(islice(batches, 6))
    assert type(raised.value) is type(error)
    assert raised.value.args == error.args


def test_a_picture_that_is_flipped_in_memory_is_laid_out_in_rows_in_the_batch() -> None:
    def flipped(sample: Sample, _: random.Random) -> np.ndarray:
        return np.array(decode_rgb(sample.data))[:, ::-1]

    part = StreamPart(NumberedSource([4]), 2)
    batch = next(iter(BatchStream([part], flipped, 0, Worker(0, 1), Layout(1), 0)))
    assert batch.images.is_contiguous()
