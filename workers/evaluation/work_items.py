"""Cuts the evaluate stage's work into pieces for the pool. Driver and actors make the same list. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from workers.data.order.sampled_rows import sampled_rows
from workers.specs.datasets import DatasetManifest
from workers.specs.robustness import RobustnessSettings

Kind = Literal["judge", "corruptions", "stability", "adversarial"]
_ROWS_A_PIECE = 100


@dataclass(frozen=True)
class WorkItem:
    """One piece of work: all rows of a shard to judge, or some sampled rows for one of the robustness tables."""

    kind: Kind
    dataset: int
    """A place in `EvaluateSpec.manifest_uris`: 0 is the test set."""
    shard: int
    rows: tuple[int, ...] = ()
    images: int = 0
    """How many images the model sees, counting repetitions."""


def work_items(
    manifests: Sequence[DatasetManifest],
    robustness: RobustnessSettings | None,
    of_validation: tuple[int, RobustnessSettings] | None = None,
) -> list[WorkItem]:
    """All pieces of work. `manifests` are those of `EvaluateSpec.manifest_uris`; the first is the test set's.

    `of_validation` is the place of the validation set, and the robustness to measure on it.
    """
    items = [
        WorkItem("judge", dataset, shard, images=manifest.shards[shard].rows)
        for dataset, manifest in enumerate(manifests)
        for shard in range(len(manifest.shards))
    ]
    if robustness is not None:
        items += _robustness_items(0, manifests[0], robustness)
    if of_validation is not None:
        place, settings = of_validation
        items += _robustness_items(place, manifests[place], settings)
    return items


def _robustness_items(dataset: int, manifest: DatasetManifest, settings: RobustnessSettings) -> Iterator[WorkItem]:
    corruptions, stability, adversarial = settings.corruptions, settings.stability, settings.adversarial
    if corruptions is not None:
        looks = 1 + len(corruptions.kinds) * len(corruptions.severities)
        yield from _pieces("corruptions", dataset, manifest, corruptions.sample, looks)
    if stability is not None:
        yield from _pieces("stability", dataset, manifest, stability.sample, len(stability.kinds) * stability.frames)
    if adversarial is not None:
        # A gradient costs about as much as two forward passes.
        looks = len(adversarial.epsilons) * (2 + 1 + 2 * adversarial.pgd_steps + 1)
        yield from _pieces("adversarial", dataset, manifest, adversarial.sample, looks)


def _pieces(kind: Kind, dataset: int, manifest: DatasetManifest, sample: int, looks: int) -> Iterator[WorkItem]:
    for shard, rows in sampled_rows(manifest, sample).items():
        for start in range(0, len(rows), _ROWS_A_PIECE):
            piece = tuple(rows[start : start + _ROWS_A_PIECE])
            yield WorkItem(kind, dataset, shard, piece, images=looks * len(piece))
