"""Copies of evaluation images are found among a quarter of a million of them, in bounded memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.workers.leakage.made_sets import encoded_again, made_set, tiny_picture
from workers.data.images.decode import content_hash
from workers.data.images.perceptual_hash import encoded_thumbnail, perceptual_hashes
from workers.leakage.evaluation_index import EvaluationIndex, as_contents
from workers.leakage.fingerprints import prepare_fingerprints
from workers.leakage.photographs import look_alike_share
from workers.specs.stages import ActorPool

_IMAGES = 250_000
_LARGEST_INDEX_MIB = 80
_INDEX = """
import resource, sys
from workers.leakage.evaluation_index import EvaluationIndex
from workers.specs.hygiene import FingerprintedImages
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
EvaluationIndex({"test": FingerprintedImages(manifest_uri="", fingerprints_uri=sys.argv[1])}, 4)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.long
@pytest.mark.timeout(900)
def test_planted_copies_among_a_quarter_of_a_million_evaluation_images_are_all_found(tmp_path: Path) -> None:
    shard = [tiny_picture(number) for number in range(_IMAGES)]
    images = made_set(tmp_path, "test", [shard])
    found = prepare_fingerprints(images, ActorPool(), lambda: None)
    assert (found.images, found.missing, found.without_look) == (_IMAGES, 0, 0)
    assert look_alike_share([images], 4) == 0

    index = EvaluationIndex({"test": images}, 4)
    planted = np.random.default_rng(0).choice(_IMAGES, 500, replace=False).tolist()
    strangers = [tiny_picture(_IMAGES + number) for number in range(2000)]
    pool = [shard[number] for number in planted] + strangers
    assert np.flatnonzero(index.equal(as_contents(list(map(content_hash, pool))))).tolist() == list(range(500))

    again = perceptual_hashes([encoded_thumbnail(encoded_again(shard[number])) for number in planted])
    before = perceptual_hashes([encoded_thumbnail(shard[number]) for number in planted])
    pairs = zip(planted, before, again, strict=True)
    alike = [
        number for number, one, two in pairs if one is not None and two is not None and (one ^ two).bit_count() < 5
    ]
    assert len(alike) > 400, "so small a picture has few bits that brightness leaves alone"
    looks = [*again, *perceptual_hashes(list(map(encoded_thumbnail, strangers)))]
    near = index.near({row: look for row, look in enumerate(looks) if look is not None})
    assert [each.evaluation_key for each in near] == [f"0.parquet:{number}" for number in alike]

    command = [sys.executable, "-c", _INDEX, images.fingerprints_uri]
    grown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=dict(os.environ))
    assert float(grown.stdout) < _LARGEST_INDEX_MIB
