"""Every reader reads each picture of the corpus as intended, or reports it as broken with the right kind."""

from typing import Literal

import numpy as np
import pytest

from tests.support.bad_images import BROKEN, ODD, Odd, scene
from workers.data.images.clean import prepare_clean
from workers.data.images.decode import BrokenImage, decode_rgb
from workers.data.images.perceptual_hash import encoded_thumbnail
from workers.data.images.plain_jpeg import decode_plain_jpeg, plain_jpeg
from workers.models.clean_batches import clean_batches
from workers.specs.hygiene import BrokenKind
from workers.specs.model_card import ModelCard


def card(crop: Literal["center", "none"]) -> ModelCard:
    return ModelCard(
        model="m", classes=("a",), image_size=24, mean=(0.5,) * 3, std=(0.5,) * 3, crop=crop,
        parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_picture_is_read_upright_and_in_its_colours(odd: Odd) -> None:
    picture = decode_rgb(odd.data)
    assert (picture.mode, picture.size) == ("RGB", odd.size)
    if odd.looks_like_the_scene:
        difference = np.abs(np.asarray(picture).astype(int) - np.asarray(scene()))
        assert difference.mean() < 6


@pytest.mark.parametrize(("data", "kind"), BROKEN.values(), ids=BROKEN)
def test_a_broken_picture_is_broken_of_its_kind(data: bytes, kind: BrokenKind) -> None:
    with pytest.raises(BrokenImage) as caught:
        decode_rgb(data)
    assert caught.value.kind is kind
    assert 0 < len(caught.value.reason) <= 160
    with pytest.raises(BrokenImage):
        encoded_thumbnail(data)


@pytest.mark.parametrize("crop", ["center", "none"])
def test_the_labelers_batches_read_the_whole_corpus_as_the_careful_way_does(crop: Literal["center", "none"]) -> None:
    data = [odd.data for odd in ODD.values()] + [each for each, _ in BROKEN.values()]
    batches = list(clean_batches(data, card(crop), 7, None))
    assert [row for batch in batches for row in batch.rows] == list(range(len(ODD)))
    kinds = [batch.broken[row].kind for batch in batches for row in sorted(batch.broken)]
    assert kinds == [kind for _, kind in BROKEN.values()]
    pixels = np.concatenate([batch.pixels for batch in batches if batch.rows])
    for row, odd in enumerate(ODD.values()):
        expected = prepare_clean(decode_rgb(odd.data), card(crop))
        assert np.abs(pixels[row].astype(int) - expected).mean() < 6, list(ODD)[row]


def test_what_libjpeg_turbo_accepts_pillow_accepts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for any damage to JPEGs. Otherwise an image could be broken for one model but not for another."""
    from workers.data.images import decode as images

    draws = np.random.default_rng(1)
    accepted = 0
    for trial in range(1500):
        data = bytearray(ODD[("jpeg", "progressive jpeg", "jpeg with restart markers")[trial % 3]].data)
        for place in draws.integers(2, len(data), 1 + trial % 4):
            data[place] = draws.integers(0, 256)
        damaged = bytes(data[: draws.integers(2, len(data))] if trial % 5 == 0 else data)
        jpeg = plain_jpeg(damaged)
        if jpeg is None or decode_plain_jpeg(damaged, jpeg, least=(8, 8)) is None:
            continue
        accepted += 1
        images._decode_any(damaged)
    assert accepted > 100
