"""A posted run produces a student, on a real local Ray with real digits."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import timm
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from noisy_student.client import Client
from noisy_student.local.demo.digits import load_digits
from noisy_student.local.stack import LocalStack
from service.views.runs import RunView
from tests.end_to_end.conftest import SmallRun, has_ended, result_of, stages_of, wait_until
from workers.data.images.clean import prepare_clean
from workers.data.images.decode import content_hash, decode_rgb
from workers.data.shards.shard_readers import load_manifest, read_shard
from workers.specs.model_card import ModelCard
from workers.specs.stages import part_name


def folder_of(run: RunView, generation: int, stage: str) -> Path:
    return Path(next(s.folder_uri for s in stages_of(run) if s.generation == generation and s.name == stage))


def test_every_stage_is_one_ray_job_with_its_times(whole_run: RunView, stack: LocalStack) -> None:
    assert [(stage.generation, stage.name) for stage in stages_of(whole_run)] == [
        (0, "train"),
        (0, "evaluate"),
        (1, "label"),
        (1, "select"),
        (1, "train"),
        (1, "evaluate"),
    ]
    for stage in stages_of(whole_run):
        assert len(stage.attempts) == 1
        assert stage.times is not None
        assert stage.times.work_seconds + stage.times.overhead_seconds == pytest.approx(stage.times.total_seconds)


def test_tensorboard_finds_the_figures_of_each_training_and_evaluation(whole_run: RunView) -> None:
    for stage in stages_of(whole_run):
        events = EventAccumulator(str(Path(stage.folder_uri) / "tensorboard"))
        if stage.name == "train":
            events.Reload()
            tags = {"loss", "images_per_second", "learning_rate", "validation_top1", "final_validation_top1"}
            assert tags <= set(events.Tags()["scalars"])
            found = [event.value for event in events.Scalars("validation_top1")]
            assert found[-1] == pytest.approx(result_of(stage)["validation_top1"])
            steps = [event.step for event in events.Scalars("loss")]
            assert steps == sorted(set(steps))
            assert steps[-1] == result_of(stage)["steps"]
        elif stage.name == "evaluate":
            events.Reload()
            [top1] = events.Scalars("top1")
            assert (top1.step, top1.value) == (stage.generation, pytest.approx(result_of(stage)["metrics"]["top1"]))


def test_jobs_leave_their_logs_and_nothing_on_the_head(whole_run: RunView, stack: LocalStack, client: Client) -> None:
    closed = wait_until(client, whole_run.id, lambda run: all(s.attempts[0].log_saved for s in stages_of(run)))
    wait_until(client, whole_run.id, lambda run: all(s.attempts[0].dashboard_url is None for s in stages_of(run)))
    jobs = httpx.get(f"{stack.dashboard_url}/api/jobs/", headers=stack.ray.headers).json()
    left = {job["submission_id"] for job in jobs}
    for stage in stages_of(closed):
        assert stage.attempts[0].submission_id not in left
        tail = client.stages.logs(whole_run.id, stage.generation, stage.name, None, 200)
        assert tail.source == "artifact_root"
        assert any(f"stage {stage.name} of generation {stage.generation}, attempt 1" in line for line in tail.lines)


def test_label_files_keep_the_shards_row_order(whole_run: RunView, stack: LocalStack, digits: dict[str, str]) -> None:
    manifest = load_manifest(str(stack.home / "artifacts" / "datasets" / digits["unlabeled"] / "manifest.json"))
    labels = folder_of(whole_run, 1, "label")
    for index in range(len(manifest.shards)):
        shard, table = read_shard(manifest, index), pq.read_table(labels / part_name(index))
        assert table["key"].to_pylist() == shard.keys
        assert table["content_hash"].to_pylist() == [content_hash(image) for image in shard.images]
        probabilities = table["top_probabilities"].to_pylist()
        assert all(len(row) == 10 and abs(sum(row) - 1) < 0.01 for row in probabilities)
        assert table["confidence"].to_pylist() == pytest.approx([row[0] for row in probabilities], abs=1e-3)


def test_selection_is_balanced_and_adds_up(client: Client, whole_run: RunView) -> None:
    result = next(result_of(s) for s in stages_of(whole_run) if s.name == "select")
    dropped = sum(result[f"dropped_{why}"] for why in ("bad", "held_out", "low_confidence", "over_cap"))
    assert result["images_labeled"] == 3400 == result["kept"] + dropped
    classes = result_of(client.stages.get(whole_run.id, 1, "select"))["classes"]
    largest = max(each["copies"] for each in classes)
    # A class with few images is filled up by at most ten copies of each.
    assert all(each["copies"] == min(largest, 10 * each["kept"]) for each in classes)


def test_pseudo_labels_are_judged_where_their_truth_is_known(
    client: Client, whole_run: RunView, digits: dict[str, str]
) -> None:
    result = next(result_of(s) for s in stages_of(whole_run) if s.name == "evaluate" and s.generation == 1)
    parts = sorted(folder_of(whole_run, 1, "label").glob("part-*.parquet"))
    labels = pa.concat_tables(pq.read_table(part, columns=["key", "label"]) for part in parts)
    _, truth = load_digits()
    known = [int(truth[int(key.removeprefix("digit-"))]) for key in labels["key"].to_pylist()]
    right = sum(label == digit for label, digit in zip(labels["label"].to_pylist(), known, strict=True))
    assert result["pseudo_labels"]["top1"] == pytest.approx(right / len(known), abs=1e-6)
    confusion = client.stages.confusion(whole_run.id, 1, "evaluate").matrices["pseudo_labels"]
    assert sum(map(sum, confusion.counts)) == len(known)


def test_the_model_loads_with_plain_timm_and_has_the_reported_accuracy(
    whole_run: RunView, stack: LocalStack, digits: dict[str, str]
) -> None:
    model_view = whole_run.generation_details[-1].model
    card = ModelCard.model_validate_json((Path(model_view.uri) / "model.json").read_text())
    options: dict[str, Any] = {**card.model_options}
    model = timm.create_model(card.model, num_classes=len(card.classes), **options).eval()
    model.load_state_dict(safetensors.torch.load_file(Path(model_view.uri) / "model.safetensors"))
    manifest = load_manifest(str(stack.home / "artifacts" / "datasets" / digits["test"] / "manifest.json"))
    correct = 0
    for index in range(len(manifest.shards)):
        shard = read_shard(manifest, index)
        pixels = torch.stack([torch.from_numpy(prepare_clean(decode_rgb(i), card).copy()) for i in shard.images])
        images = (pixels.float() / 255 - torch.tensor(card.mean)) / torch.tensor(card.std)
        with torch.inference_mode():
            predicted = model(images.permute(0, 3, 1, 2)).argmax(dim=1)
        correct += int((predicted == torch.tensor(shard.labels)).sum())
    assert correct / manifest.rows == pytest.approx(model_view.test_top1, abs=0.002)
    assert sum(parameter.numel() for parameter in model.parameters()) == model_view.parameters
    of_the_folder: Any = timm.create_model(f"local-dir:{model_view.uri}", pretrained=True).eval()
    assert of_the_folder.pretrained_cfg["label_names"] == list(card.classes)
    weights, same = dict(model.state_dict()), dict(of_the_folder.state_dict())
    assert same.keys() == weights.keys()
    assert all(torch.equal(same[name], weights[name]) for name in weights)


def test_progress_metrics_and_logs_can_be_read(whole_run: RunView, client: Client, stack: LocalStack) -> None:
    base = f"{stack.api_url}/runs/{whole_run.id}/generations/1/stages/train"
    rows = httpx.get(f"{base}/metrics", headers=stack.api_headers).json()["rows"]
    assert rows[-1]["step"] == 50
    assert {"loss", "images_per_second", "validation_top1"} <= set(rows[-1]["values"])
    assert "stage train of generation 1" in "\n".join(client.stages.logs(whole_run.id, 1, "train", None, 50).lines)
    progress = json.loads((folder_of(whole_run, 1, "train") / "progress.json").read_text())
    assert progress["done"] == progress["total"] == 50


@pytest.mark.long
def test_a_plan_tells_roughly_what_the_run_took_and_leaves_nothing_behind(
    whole_run: RunView, client: Client, small_run: SmallRun, stack: LocalStack
) -> None:
    started = client.plans.create({"run": small_run(train_workers=2), "sample_seconds": 1.0, "cluster": {"devices": 2}})
    run = wait_until(client, started.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    bill = client.plans.get(started.id).bill
    planned = {(line.generation, line.stage): line for line in bill.as_configured.stages}
    taken = {(stage.generation, stage.name): stage.times for stage in stages_of(whole_run)}
    assert planned.keys() == taken.keys()
    for stage in (0, "train"), (1, "label"), (1, "train"):
        # The machine may be busier now than during the plan; `make benchmark-plan` measures how accurate plans are.
        assert 1 / 4 < planned[stage].wall_seconds / taken[stage].total_seconds < 4, stage
    assert planned[1, "label"].images == 3400
    assert not (folder_of(run, 0, "measure") / "sample").exists()


def test_a_prediction_says_of_the_pool_what_the_label_stage_said(
    whole_run: RunView, client: Client, digits: dict[str, str], tmp_path: Path
) -> None:
    teacher = whole_run.generation_details[0].model.id
    started = client.predictions.create({"model": teacher, "dataset": digits["unlabeled"], "top_k": None})
    run = wait_until(client, started.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    outcome = client.predictions.get(started.id).outcome
    assert (outcome.images, outcome.bad_images, outcome.truth) == (3400, 0, None)
    # The label stage divides logits by the temperature that it has fitted; a prediction is the model's own.
    temperature = next(result_of(s) for s in stages_of(whole_run) if s.name == "label")["calibration"]["temperature"]
    assert temperature != 1.0
    for part in sorted(folder_of(whole_run, 1, "label").glob("part-*.parquet")):
        labeled, predicted = pq.read_table(part), pq.read_table(folder_of(run, 0, "predict") / part.name)
        for column in ("key", "label"):
            assert predicted[column].combine_chunks().equals(labeled[column].combine_chunks()), column
        powers = np.array(predicted["top_probabilities"].to_pylist()) ** (1 / temperature)
        np.testing.assert_allclose(powers.max(1) / powers.sum(1), labeled["confidence"].to_numpy(), atol=0.01)
    table = pq.read_table(client.predictions.download(started.id, tmp_path / "predicted.parquet"))
    exported = pq.read_table(client.labels.export(whole_run.id, 1, tmp_path / "labels.parquet", which="all"))
    assert table["key"].to_pylist() == exported["key"].to_pylist()
    assert table["label"].to_pylist() == exported["teacher_label"].to_pylist()
    result = next(result_of(s) for s in stages_of(whole_run) if s.name == "select")
    assert sum(exported["selected"].to_pylist()) == result["kept"]
    assert sum(exported["copies"].to_pylist()) == result["copies"]
