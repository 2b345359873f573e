import io
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from workers.data.images import decode_rgb
from workers.training.batches import BatchStream, PictureMemory, StreamPart, batch_loader, share_of


class NumberedSource:
    """Pictures whose every pixel tells which sample they are; broken ones are no pictures at all."""

    def __init__(self, rows_per_shard: list[int], classes: int = 2, target: int = 0, broken: frozenset = frozenset()):
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


def numbers(batches) -> list[int]:
    return [int(image[0, 0, 0]) for batch in batches for image in batch.images]


def stream(parts, rank=0, world_size=1, start_step=0, seed=5) -> BatchStream:
    return BatchStream(parts, np.asarray, seed, rank, world_size, start_step)


def test_an_epoch_over_all_ranks_has_every_sample_once():
    source = NumberedSource([40, 30, 30])
    seen = Counter()
    for rank in range(4):
        seen.update(numbers(islice(stream([StreamPart(source, 5)], rank, world_size=4), 5)))
    assert sorted(seen) == list(range(100))
    assert set(seen.values()) == {1}


def test_labeled_and_pseudo_labeled_images_share_each_batch_at_the_ratio():
    labeled, pseudo = NumberedSource([20], target=0), NumberedSource([90], target=1)
    batch = next(iter(stream([StreamPart(labeled, 2), StreamPart(pseudo, 6)])))
    assert batch.images.shape == (8, 8, 8, 3)
    assert batch.targets.argmax(dim=1).tolist() == [0, 0, 1, 1, 1, 1, 1, 1]


def test_a_resumed_stream_goes_on_with_the_same_samples():
    parts = [StreamPart(NumberedSource([25, 25]), 4), StreamPart(NumberedSource([60]), 7)]
    whole = [numbers([batch]) for batch in islice(stream(parts), 30)]
    resumed = [numbers([batch]) for batch in islice(stream(parts, start_step=17), 13)]
    assert resumed == whole[17:]


def test_epochs_are_shuffled_differently_and_seeds_too():
    part = [StreamPart(NumberedSource([50]), 50)]
    first, second = (numbers([batch]) for batch in islice(stream(part), 2))
    other_seed = numbers(islice(stream(part, seed=6), 1))
    assert sorted(first) == sorted(second) == sorted(other_seed)
    assert first != second
    assert first != other_seed


def test_fewer_samples_than_ranks_are_read_by_every_rank():
    source = NumberedSource([2])
    for rank in range(4):
        assert sorted(numbers(islice(stream([StreamPart(source, 2)], rank, world_size=4), 1))) == [0, 1]


def test_broken_images_are_passed_over_and_counted():
    source = NumberedSource([10], broken=frozenset({3, 7}))
    batches = list(islice(stream([StreamPart(source, 4)]), 4))
    assert not {3, 7} & set(numbers(batches))
    assert sum(batch.broken for batch in batches) >= 2


@pytest.mark.parametrize(("total", "world_size", "shares"), [(64, 2, [32, 32]), (10, 4, [3, 3, 2, 2]), (1, 2, [1, 0])])
def test_ranks_share_a_batch_evenly(total, world_size, shares):
    assert [share_of(total, rank, world_size) for rank in range(world_size)] == shares


def test_loader_processes_read_an_epoch_without_overlap():
    source = NumberedSource([48])
    batches = batch_loader(stream([StreamPart(source, 6)]), loader_processes=2, pin_memory=False)
    assert sorted(numbers(islice(batches, 8))) == list(range(48))


def test_a_picture_is_decoded_once_while_it_fits_and_anew_when_it_does_not():
    small, large = encoded(8), encoded(64)
    memory = PictureMemory(max_bytes=8 * 8 * 4 + len(small))
    assert memory.decoded(small) is memory.decoded(small)
    assert memory.decoded(large) is not memory.decoded(large)
    assert np.array_equal(np.asarray(memory.decoded(large)), np.asarray(decode_rgb(large)))
