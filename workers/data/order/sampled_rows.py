"""Draws a sample of a registered dataset's images from all of its shards."""

import hashlib

import numpy as np

from workers.specs.datasets import DatasetManifest


def sampled_rows(manifest: DatasetManifest, sample: int) -> dict[int, list[int]]:
    """Draws `sample` images, or all if there are fewer, and returns their rows by shard. Other shards are left out.

    The draw depends on the dataset's id alone, so that every model sees the same images. It is made over all rows at
    once: a share of each shard could round to nothing.
    """
    digest = hashlib.blake2b(manifest.dataset_id.encode(), digest_size=8).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest)))
    starts = np.cumsum([0, *(shard.rows for shard in manifest.shards)])
    chosen = np.sort(generator.choice(manifest.rows, min(sample, manifest.rows), replace=False))
    shards, first = np.unique(np.searchsorted(starts, chosen, side="right") - 1, return_index=True)
    rows = np.split(chosen, first[1:])
    return {int(shard): (some - starts[shard]).tolist() for shard, some in zip(shards, rows, strict=False)}
