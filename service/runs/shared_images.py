"""Finds the images that two datasets share, byte for byte."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from service.artifacts.layout import ArtifactLayout
from workers.data.hashes import read_hash_rows
from workers.data.shards.row_names import row_name
from workers.data.shards.shard_readers import load_manifest

_EXAMPLES = 3

Hashes = npt.NDArray[np.bytes_]
Places = npt.NDArray[np.int64]


def shared_places(one: Hashes, other: Hashes) -> tuple[Places, Places]:
    """Returns the positions of the shared values in each of two sorted arrays without duplicates.

    It searches the longer array for the values of the shorter one.
    """
    if len(one) > len(other):
        in_other, in_one = shared_places(other, one)
        return in_one, in_other
    found = np.searchsorted(other, one)
    within = np.flatnonzero(found < len(other))
    equal = within[other[found[within]] == one[within]]
    return equal, found[equal]


def examples(layout: ArtifactLayout, datasets: Sequence[str], places: Sequence[Places]) -> str:
    """Names a few of the shared images, as each dataset calls them.

    Returns "" if a dataset was registered before the service kept the rows of its hashes.
    """
    named = [_names(layout, dataset, at[:_EXAMPLES]) for dataset, at in zip(datasets, places, strict=True)]
    pairs = [" is ".join(pair) for pair in zip(*named, strict=True)] if all(named) else []
    more = ", ..." if len(places[0]) > _EXAMPLES else ""
    return f" ({', '.join(pairs)}{more})" if pairs else ""


def _names(layout: ArtifactLayout, dataset: str, places: Places) -> list[str]:
    rows = read_hash_rows(layout.hash_rows(dataset))
    if rows is None:
        return []
    manifest = load_manifest(layout.manifest(dataset))
    return [row_name(manifest, row) for row in rows[places].tolist()]
