"""Encoded pictures to batches of clean pixels, decoded ahead of the model in threads where there are CPUs for it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.data.clean import prepare_clean
from workers.data.errors import BrokenImage
from workers.data.images import decode_rgb
from workers.models.fast_jpeg import fast_clean_pixels
from workers.specs.stages import ModelCard

_BATCHES_AHEAD = 2

_Decoded = npt.NDArray[np.uint8] | BrokenImage


@dataclass(frozen=True)
class CleanBatch:
    """Some consecutive pictures, without the broken ones."""

    rows: list[int]
    """Which of the given pictures `pixels` holds."""
    pixels: npt.NDArray[np.uint8]
    """(len(rows), size, size, 3)"""
    broken: dict[int, str]
    """Row and reason of each picture that cannot be decoded."""


def clean_batches(
    images: Sequence[bytes], card: ModelCard, batch_size: int, decoders: Executor | None
) -> Iterator[CleanBatch]:
    """Batches in row order. With `decoders` the next two are being decoded while the caller uses one."""
    chunks = [range(start, min(start + batch_size, len(images))) for start in range(0, len(images), batch_size)]
    if decoders is None:
        for rows in chunks:
            yield _batch(rows, [_decode(images[row], card) for row in rows])
        return
    pending: list[list[Future[_Decoded]]] = []
    for number, rows in enumerate(chunks):
        for chunk in chunks[number + len(pending) : number + 1 + _BATCHES_AHEAD]:
            pending.append([decoders.submit(_decode, images[row], card) for row in chunk])
        yield _batch(rows, [future.result() for future in pending.pop(0)])


def _decode(data: bytes, card: ModelCard) -> _Decoded:
    try:
        pixels = fast_clean_pixels(data, card)
        return prepare_clean(decode_rgb(data), card) if pixels is None else pixels
    except BrokenImage as error:
        return error


def _batch(rows: range, decoded: Sequence[_Decoded]) -> CleanBatch:
    broken = {row: item.reason for row, item in zip(rows, decoded, strict=True) if isinstance(item, BrokenImage)}
    good = [item for item in decoded if not isinstance(item, BrokenImage)]
    # Not np.stack: it would keep the order in memory of a picture that was resized plane by plane.
    pixels = np.empty((len(good), *(good[0].shape if good else (0, 0, 3))), dtype=np.uint8)
    for place, picture in enumerate(good):
        pixels[place] = picture
    return CleanBatch([row for row in rows if row not in broken], pixels, broken)
