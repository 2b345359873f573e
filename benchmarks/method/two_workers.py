"""How far the losses of two data-parallel workers with unequal shares are from those of one process.

The images, their order and the weights are the same; the network has no batch norm and no noise. The reported figure
is the largest difference of any step of any setting, in the worst of which one worker has no labeled image. The
processes are a gloo group on CPUs, with the train stage's own steps and without Ray.
"""

import io
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.results import row, save
from benchmarks.support.gloo_group import GlooSession, trained_in_group, trajectory
from workers.data.order.lanes import Layout
from workers.labeling.label_files import Hygiene, label_table, write_label_file
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.labeling import PseudoLabels
from workers.specs.noise import Noise
from workers.specs.optimization import Optimizer, Schedule
from workers.specs.recipe import Recipe
from workers.specs.stages import TrainSpec, part_name
from workers.specs.worker_group import WorkerGroup

COMMAND = "make benchmark-two-workers"
SETTINGS = ((5, 1.0), (1, 3.0), (3, 0.0), (7, 2.0))
"""Labeled images a step, and pseudo-labeled images for each of them: 3 + 2, 1 + 0 and 2 + 1, ... on two workers."""
_CLASSES = ("a", "b", "c")
_ROWS = 24
_SIZE = 32


def main() -> None:
    """Trains every setting both ways, and writes the row."""
    differences = []
    for labeled, ratio in SETTINGS:
        with tempfile.TemporaryDirectory() as folder:
            differences.append(max_loss_difference(Path(folder), labeled, ratio))
    save(
        [
            row(
                "method.ddp_vs_single_max_loss_difference",
                [max(differences) * 1e6],
                "millionths; the largest difference of a step's loss, two workers of unequal shares",
                "one process with all images",
                COMMAND,
            )
        ]
    )


def max_loss_difference(folder: Path, labeled: int, ratio: float) -> float:
    """The largest difference of a step's loss. `folder` is an empty one."""
    spec, layout = made_spec(folder, labeled, ratio), Layout(2)
    (folder / "group").mkdir()
    group = trained_in_group(spec, 2, folder / "group", layout)
    alone = trajectory(spec, GlooSession(0, 1), layout)
    return max(abs(one - other) for one, other in zip(group.losses, alone.losses, strict=True))


def made_spec(folder: Path, labeled: int, ratio: float, **changes: object) -> TrainSpec:
    """A spec for pictures of noise with made labels and pseudo labels, which are written to `folder`.

    `changes` replace fields of its recipe.
    """
    recipe = Recipe(
        image_size=_SIZE,
        crop="none",
        horizontal_flip=False,
        steps=8,
        batch_size=labeled,
        unlabeled_ratio=ratio,
        noise=Noise(rand_augment=None, dropout=0, drop_path=0),
        optimizer=Optimizer(name="sgd", learning_rate=0.05),
        schedule=Schedule(warmup_steps=1),
    ).model_copy(update=changes)
    labeled_uri = _dataset(folder / "labeled", seed=0, labels=True)
    return TrainSpec(
        run_id="run-1",
        generation=1,
        attempt=1,
        folder_uri=str(folder),
        seed=3,
        model="test_vit",
        classes=_CLASSES,
        recipe=recipe,
        labeled_manifest_uri=labeled_uri,
        validation_manifest_uri=labeled_uri,
        pseudo_labels=_pseudo_labels(folder) if ratio else None,
        workers=WorkerGroup(),
    )


def _dataset(folder: Path, seed: int, labels: bool) -> str:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {"image": pa.array([_picture(rng) for _ in range(_ROWS)], pa.binary())}
    if labels:
        columns["label"] = pa.array(rng.choice(_CLASSES, size=_ROWS))
    pq.write_table(pa.table(columns), folder / "0.parquet")
    manifest = DatasetManifest(
        dataset_id="ds",
        role="labeled" if labels else "unlabeled",
        format="parquet",
        classes=_CLASSES if labels else (),
        label_column="label" if labels else None,
        rows=_ROWS,
        shards=(Shard(uri=str(folder / "0.parquet"), rows=_ROWS),),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    return str(folder / "manifest.json")


def _picture(rng: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(256, size=(_SIZE, _SIZE, 3), dtype=np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def _pseudo_labels(folder: Path) -> PseudoLabels:
    manifest_uri = _dataset(folder / "pool", seed=1, labels=False)
    labels, selection = folder / "label", folder / "select"
    selection.mkdir()
    probabilities = np.random.default_rng(2).dirichlet(np.ones(len(_CLASSES)), _ROWS).astype(np.float32)
    keys = [str(number) for number in range(_ROWS)]
    hygiene = Hygiene([key.encode().rjust(16) for key in keys], [None] * _ROWS, {}, {})
    table, _ = label_table(keys, hygiene, probabilities, top_k=len(_CLASSES))
    write_label_file(str(labels), 0, table, {})
    every = {"row": pa.array(range(_ROWS), pa.int32()), "copies": pa.array([1] * _ROWS, pa.int32())}
    pq.write_table(pa.table(every), selection / part_name(0))
    return PseudoLabels(manifest_uri=manifest_uri, labels_uri=str(labels), selection_uri=str(selection))


if __name__ == "__main__":
    main()
