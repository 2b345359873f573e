"""Encoded pictures to batches of clean pixels, decoded ahead of the model in threads where there are CPUs for it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.data.clean import prepare_clean
from workers.data.errors import BrokenImage
from workers.data.images import decode_rgb
from workers.data.perceptual_hash import perceptual_hash
from workers.models.fast_jpeg import decode_fast, prepare_fast
from workers.specs.stages import ModelCard

_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class _Picture:
    pixels: npt.NDArray[np.uint8]
    hash: int | None


_Decoded = _Picture | BrokenImage


@dataclass(frozen=True)
class CleanBatch:
    """Some consecutive pictures, without the broken ones."""

    rows: list[int]
    """Which of the given pictures `pixels` holds."""
    pixels: npt.NDArray[np.uint8]
    """(len(rows), size, size, 3)"""
    broken: dict[int, BrokenImage]
    """By row, why a picture cannot be decoded."""
    hashes: dict[int, int]
    """By row, the perceptual hash of each picture that is not flat."""


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
        fast = decode_fast(data, card)
        if fast is not None:
            return _Picture(prepare_fast(fast, card), perceptual_hash(fast.pixels))
        picture = decode_rgb(data)
        return _Picture(prepare_clean(picture, card), perceptual_hash(np.asarray(picture)))
    except BrokenImage as error:
        return error


def _batch(rows: range, decoded: Sequence[_Decoded]) -> CleanBatch:
    broken = {row: item for row, item in zip(rows, decoded, strict=True) if isinstance(item, BrokenImage)}
    good = {row: item for row, item in zip(rows, decoded, strict=True) if isinstance(item, _Picture)}
    shape = next((picture.pixels.shape for picture in good.values()), (0, 0, 3))
    # Not np.stack: it would keep the order in memory of a picture that was resized plane by plane.
    pixels = np.empty((len(good), *shape), dtype=np.uint8)
    for place, picture in enumerate(good.values()):
        pixels[place] = picture.pixels
    hashes = {row: picture.hash for row, picture in good.items() if picture.hash is not None}
    return CleanBatch(list(good), pixels, broken, hashes)
