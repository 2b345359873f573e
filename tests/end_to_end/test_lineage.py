"""Lineage on a real Ray: a run posted again from it decides the same, and labels by the models of another run."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from noisy_student.client import Client
from service.views.lineage import ModelLineage
from service.views.runs import RunView
from tests.end_to_end.conftest import SmallRun, has_ended, wait_until
from workers.data.shards.shard_readers import load_manifest, read_shard
from workers.models.predictor import Predictor
from workers.specs.checkpoint import CHECKPOINT_NOTE_FILE, CHECKPOINTS_FOLDER, CheckpointNote
from workers.specs.model_card import ModelCard

pytestmark = pytest.mark.long


def test_a_run_posted_again_from_its_lineage_decides_the_same(client: Client, small_run: SmallRun) -> None:
    """With one training worker on the same kind of machine, even the weights are equal, bit for bit."""
    one_worker = {**small_run()["resources"], "train": {"num_workers": 1}}
    selection = {"min_confidence": 0.2, "thresholds": "freematch", "distribution_alignment": "labeled"}
    first = finish(client, small_run(teacher_steps=60, student_steps=40, resources=one_worker, selection=selection))
    lineage = client.models.lineage(f"{first.id}-g1")
    assert all(dataset.digest for dataset in lineage.datasets)
    for stage in [*lineage.stages, *lineage.teacher.stages]:
        assert stage.environment.packages["torch"] == torch.__version__.partition("+")[0]
        assert stage.environment.code == lineage.stages[0].environment.code
    notes = [
        CheckpointNote.model_validate_json(path.read_bytes())
        for path in Path(lineage.teacher.uri).glob(f"{CHECKPOINTS_FOLDER}/*/{CHECKPOINT_NOTE_FILE}")
    ]
    assert {note.step: note.validation_top1 is not None for note in notes} == {20: False, 40: True}

    again = finish(client, lineage.run_config.model_dump(mode="json"))

    repeated = client.models.lineage(f"{again.id}-g1")
    assert [repeated.seed, repeated.teacher.seed] == [lineage.seed, lineage.teacher.seed]
    assert [each.digest for each in repeated.datasets] == [each.digest for each in lineage.datasets]
    labels, labels_again = parts(lineage.labels_uri), parts(repeated.labels_uri)
    assert list(labels) == list(labels_again)
    for name, path in labels.items():
        columns = ["key", "content_hash", "label", "confidence"]
        assert pq.read_table(path, columns=columns).equals(pq.read_table(labels_again[name], columns=columns)), name
    selected = {name: path.read_bytes() for name, path in parts(lineage.selection_uri).items()}
    assert selected == {name: path.read_bytes() for name, path in parts(repeated.selection_uri).items()}
    assert factors_of(lineage.selection_uri) == factors_of(repeated.selection_uri)
    found = [client.stages.get(run.id, 1, "select").result or {} for run in (first, again)]
    assert found[0]["classes"] == found[1]["classes"]
    assert found[0]["distance_after_alignment"] < found[0]["distance_before_alignment"]
    assert found[0]["lowest_threshold"] >= 0.2
    for one, other in ((lineage.teacher, repeated.teacher), (lineage, repeated)):
        weights, weights_again = weights_of(one.uri), weights_of(other.uri)
        assert all(torch.equal(weights[name], weights_again[name]) for name in weights), one.model_id


def test_a_run_labels_with_the_models_of_another_and_learns_from_their_mean(
    client: Client, small_run: SmallRun, whole_run: RunView
) -> None:
    """The student of the other run sees 32 pixels, and the teachers of both runs 28."""
    named = [f"{whole_run.id}-g0", f"{whole_run.id}-g1"]
    body = small_run(teacher_steps=60, student_steps=40, labeling={"further_teachers": named})
    run = finish(client, body)

    lineage = client.models.lineage(f"{run.id}-g1")
    assert lineage.further_teachers == tuple(named)
    folders = [lineage.teacher.uri, *(client.models.get(name).uri for name in named)]
    images = images_of(lineage)
    probabilities = np.mean([Predictor(folder).predict(images).probabilities for folder in folders], axis=0)
    files = parts(lineage.labels_uri).values()
    labeled = pa.concat_tables([pq.read_table(path, columns=["label", "confidence"]) for path in files])
    assert np.abs(labeled["confidence"].to_numpy() - probabilities.max(axis=1)).max() < 1e-5
    assert np.array_equal(labeled["label"].to_numpy(), probabilities.argmax(axis=1))
    card = ModelCard.model_validate_json(Path(lineage.uri, "model.json").read_bytes())
    assert card.teachers == (f"{run.id}-g0", *named)


def images_of(lineage: ModelLineage) -> list[bytes]:
    """The unlabeled images, in the order of their label files."""
    [pool] = [each for each in lineage.datasets if each.part == "unlabeled"]
    manifest = load_manifest(pool.manifest_uri)
    return [image for shard in range(pool.shards) for image in read_shard(manifest, shard).images]


def finish(client: Client, config: dict[str, Any]) -> RunView:
    run = wait_until(client, client.runs.create(config).id, has_ended)
    assert run.state == "succeeded", run.state_reason
    return run


def parts(folder: str | None) -> dict[str, Path]:
    assert folder is not None
    return {path.name: path for path in sorted(Path(folder).glob("part-*.parquet"))}


def factors_of(folder: str | None) -> bytes:
    assert folder is not None
    return (Path(folder) / "alignment.json").read_bytes()


def weights_of(folder: str) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(Path(folder) / "model.safetensors")
