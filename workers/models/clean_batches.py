"""Decodes encoded pictures to batches of clean pixels. With spare CPUs, threads decode ahead of the model."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from workers.data.budgets import PIECE_BYTES
from workers.data.errors import BrokenImage
from workers.data.images.clean import crops_of, resize_clean
from workers.data.images.decode import as_pixels, decode_rgb, short_reason
from workers.data.images.perceptual_hash import perceptual_hashes, thumbnail
from workers.models.fast_jpeg import decode_fast, resize_fast
from workers.specs.hygiene import BrokenKind
from workers.specs.model_card import ModelCard

_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class CleanPicture:
    """One picture as the model sees it."""

    crops: npt.NDArray[np.uint8]
    """(crops, size, size, 3): the centre crop first."""
    thumbnail: npt.NDArray[np.uint8] | None
    """The whole picture, small and grey, for its perceptual hash; None if no hash is wanted."""
    further: tuple[npt.NDArray[np.uint8], ...] = ()
    """The crops for each further model."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The centre crop, (size, size, 3)."""
        centre: npt.NDArray[np.uint8] = self.crops[0]
        return centre


_Decoded = CleanPicture | BrokenImage


@dataclass(frozen=True)
class CleanBatch:
    """Consecutive pictures, without the broken ones."""

    rows: list[int]
    """Which of the given pictures `crops` holds."""
    crops: npt.NDArray[np.uint8]
    """(len(rows), crops, size, size, 3): the centre crop of each picture first."""
    broken: dict[int, BrokenImage]
    """By row, why a picture cannot be decoded."""
    hashes: dict[int, int]
    """By row, the perceptual hash of each picture that is not flat; empty if no hashes are wanted."""
    further: tuple[npt.NDArray[np.uint8], ...] = ()
    """`crops` for each further model."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The centre crops, (len(rows), size, size, 3)."""
        centres: npt.NDArray[np.uint8] = self.crops[:, 0]
        return centres


def clean_batches(
    images: Iterable[bytes],
    card: ModelCard,
    batch_size: int,
    decoders: Executor | None,
    with_hashes: bool = True,
    crops: Literal[1, 5] = 1,
    further: Sequence[ModelCard] = (),
) -> Iterator[CleanBatch]:
    """Yields batches in row order. With `decoders`, the next two are decoded while the caller uses one.

    No more images are taken than that needs, because they may come from a stream. Only labeling needs hashes, more
    than the centre crop, and `further` models that see the same pictures at other sizes.
    """
    start, clean = 0, partial(clean_picture, card=card, with_thumbnail=with_hashes, crops=crops, further=further)
    pending: deque[list[Future[_Decoded]]] = deque()
    for chunk in batches_within(images, batch_size):
        if decoders is None:
            decoded = [clean(data) for data in chunk]
        else:
            pending.append([decoders.submit(clean, data) for data in chunk])
            if len(pending) <= _BATCHES_AHEAD:
                continue
            decoded = _results(pending)
        yield _batch(start, decoded)
        start += len(decoded)
    while pending:
        decoded = _results(pending)
        yield _batch(start, decoded)
        start += len(decoded)


def batches_within(images: Iterable[bytes], batch_size: int) -> Iterator[list[bytes]]:
    """Yields up to `batch_size` images at a time; fewer if they are so large that they would fill the memory."""
    chunk: list[bytes] = []
    held = 0
    for data in images:
        chunk.append(data)
        held += len(data)
        if len(chunk) == batch_size or held >= PIECE_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def clean_picture(
    data: bytes,
    card: ModelCard,
    with_thumbnail: bool = True,
    crops: Literal[1, 5] = 1,
    further: Sequence[ModelCard] = (),
) -> _Decoded:
    """The picture as the model of `card` and the `further` ones see it, or why it cannot be decoded."""

    @cache
    def picture() -> Image.Image:
        return decode_rgb(data)

    try:
        pixels, small = _crops(data, card, crops, picture, with_thumbnail)
        others = tuple(_crops(data, each, crops, picture, False)[0] for each in further)
        return CleanPicture(pixels, small, others)
    except BrokenImage as error:
        return error
    except MemoryError:  # memory that other processes use: a later attempt may have it
        raise
    except Exception as error:  # one picture among millions must not end a stage
        return BrokenImage(BrokenKind.DAMAGED, short_reason(error))


def _crops(
    data: bytes, card: ModelCard, crops: Literal[1, 5], picture: Callable[[], Image.Image], with_thumbnail: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    """The crops for one model, and the thumbnail if it is wanted. `picture` decodes what `decode_fast` cannot."""
    fast = decode_fast(data, card)  # a JPEG is decoded no larger than this model needs it
    pixels = crops_of(
        resize_clean(picture(), card) if fast is None else resize_fast(fast, card), card.image_size, crops
    )
    if not with_thumbnail:
        return pixels, None
    return pixels, thumbnail(as_pixels(picture()) if fast is None else fast.pixels)


def _results(pending: deque[list[Future[_Decoded]]]) -> list[_Decoded]:
    return [future.result() for future in pending.popleft()]


def _batch(start: int, decoded: Sequence[_Decoded]) -> CleanBatch:
    rows = range(start, start + len(decoded))
    broken = {row: item for row, item in zip(rows, decoded, strict=True) if isinstance(item, BrokenImage)}
    good = {row: item for row, item in zip(rows, decoded, strict=True) if isinstance(item, CleanPicture)}
    crops = _stacked([picture.crops for picture in good.values()])
    further = tuple(map(_stacked, zip(*(picture.further for picture in good.values()), strict=True)))
    small = {row: picture.thumbnail for row, picture in good.items() if picture.thumbnail is not None}
    hashes = dict(zip(small, perceptual_hashes(list(small.values())), strict=True))
    return CleanBatch(list(good), crops, broken, {row: h for row, h in hashes.items() if h is not None}, further)


def _stacked(crops: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    # np.stack would keep the memory order of pictures that were resized plane by plane.
    stacked = np.empty((len(crops), *(crops[0].shape if crops else (1, 0, 0, 3))), dtype=np.uint8)
    for place, each in enumerate(crops):
        stacked[place] = each
    return stacked
