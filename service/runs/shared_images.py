"""Images that two datasets share, byte for byte: how many, and which."""

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
    """Where the values that two sorted arrays without repeats share stand in each. Looks the fewer ones up."""
    if len(one) > len(other):
        in_other, in_one = shared_places(other, one)
        return in_one, in_other
    found = np.searchsorted(other, one)
    within = np.flatnonzero(found < len(other))
    equal = within[other[found[within]] == one[within]]
    return equal, found[equal]


def examples(layout: ArtifactLayout, datasets: Sequence[str], places: Sequence[Places]) -> str:
    """A few of the shared images as each dataset calls them; "" where it was registered before that was kept."""
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
