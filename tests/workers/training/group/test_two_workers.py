"""Two training processes of a gloo group against one process which has all of their images."""

from pathlib import Path

import pytest
import torch

from benchmarks.method.two_workers import made_spec
from benchmarks.support.gloo_group import GlooSession, Trajectory, in_group, trained_in_group, trajectory
from workers.data.order.lanes import Layout, share_of
from workers.models.create import create_model
from workers.runtime.stage_reporter import StageError
from workers.specs.imbalance import ClassWeights, EffectiveNumber
from workers.training.batch_statistics import average_batch_statistics, with_synchronized_batch_norm
from workers.training.loss import images_of_a_worker, noisy_student_loss


def _farthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def _assert_same(group: Trajectory, alone: Trajectory) -> None:
    assert group.losses == pytest.approx(alone.losses, abs=1e-5)
    assert _farthest(group.gradients, alone.gradients) < 1e-5
    assert _farthest(group.state["model"], alone.state["model"]) < 1e-5
    assert _farthest(group.state["ema"], alone.state["ema"]) < 1e-5


@pytest.mark.parametrize(("labeled", "ratio"), [(5, 1.0), (1, 3.0)], ids=["unequal", "one_without_labeled_images"])
def test_workers_of_unequal_shares_train_as_one_process_does(tmp_path: Path, labeled: int, ratio: float) -> None:
    spec, layout = made_spec(tmp_path, labeled, ratio, steps=3), Layout(2)
    first, second = (len(share_of(labeled, worker, 2)) for worker in range(2))
    assert first == second + 1
    (tmp_path / "group").mkdir()
    _assert_same(trained_in_group(spec, 2, tmp_path / "group", layout), trajectory(spec, GlooSession(0, 1), layout))


@pytest.mark.parametrize("asked", ["inverse_frequency", EffectiveNumber(effective_number=0.9)], ids=str)
def test_class_weights_are_the_same_on_workers_of_unequal_shares(tmp_path: Path, asked: ClassWeights) -> None:
    (tmp_path / "plain").mkdir()
    plain = trajectory(made_spec(tmp_path / "plain", 5, 1.0, steps=3), GlooSession(0, 1), Layout(2))
    spec, layout = made_spec(tmp_path, 5, 1.0, steps=3, class_weights=asked), Layout(2)
    (tmp_path / "group").mkdir()
    alone = trajectory(spec, GlooSession(0, 1), layout)
    _assert_same(trained_in_group(spec, 2, tmp_path / "group", layout), alone)
    assert _farthest(plain.gradients, alone.gradients) > 1e-4, "it has an effect"


def test_a_group_that_grows_and_shrinks_trains_as_a_fixed_one_does(tmp_path: Path) -> None:
    spec, layout = made_spec(tmp_path, 5, 1.0, steps=6), Layout(3)
    for name in ("fixed", "grown"):
        (tmp_path / name).mkdir()
    fixed = trained_in_group(spec, 3, tmp_path / "fixed", layout)

    alone = trajectory(spec, GlooSession(0, 1), layout, steps=2)
    grown = trained_in_group(spec, 2, tmp_path / "grown", layout, alone.state, steps=2)
    shrunk = trajectory(spec, GlooSession(0, 1, grown.state), layout)

    assert shrunk.state["step"] == 6
    losses = [*alone.losses, *grown.losses, *shrunk.losses]
    _assert_same(Trajectory(losses, shrunk.gradients, shrunk.state), fixed)


@pytest.mark.parametrize(("labeled", "pseudo", "workers"), [(32, 96, 64), (1250, 3750, 1000), (1, 3, 3), (5, 0, 2)])
def test_each_image_counts_alike_on_any_number_of_workers(labeled: int, pseudo: int, workers: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(labeled + pseudo, 4, generator=generator, dtype=torch.float64).float().requires_grad_()
    targets = torch.softmax(torch.randn(labeled + pseudo, 4, generator=generator), dim=1)
    parts = []
    for worker in range(workers):
        rows = [*share_of(labeled, worker, workers), *(labeled + row for row in share_of(pseudo, worker, workers))]
        share = images_of_a_worker(labeled + pseudo, workers)
        parts.append(noisy_student_loss(logits[rows], targets[rows], share) / workers)  # DDP's mean
    [gradient] = torch.autograd.grad(torch.stack(parts).sum(), logits, retain_graph=True)
    [expected] = torch.autograd.grad(noisy_student_loss(logits, targets), logits)
    assert torch.allclose(gradient, expected, atol=1e-8)


def test_labeled_images_weigh_a_quarter_at_32_and_96_on_64_workers() -> None:
    labeled, pseudo, workers = 32, 96, 64
    share = images_of_a_worker(labeled + pseudo, workers)
    weight = sum(len(share_of(labeled, worker, workers)) / share / workers for worker in range(workers))
    assert weight == pytest.approx(0.25)


def _average_of(rank: int, world_size: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = create_model("test_resnet", 3, 16, 0, 0)
    torch.manual_seed(rank)
    model(torch.randn(4, 3, 16, 16))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    average_batch_statistics(model)
    return {f"before.{name}": buffer for name, buffer in before.items()} | dict(model.named_buffers())


def test_batch_statistics_are_averaged_over_the_workers(tmp_path: Path) -> None:
    first, second = in_group(_average_of, 2, tmp_path)
    running = [name for name in first if name.endswith(("running_mean", "running_var")) and "before." not in name]
    assert running
    for name in running:
        assert not torch.equal(first[f"before.{name}"], second[f"before.{name}"])
        assert torch.equal(first[name], second[name])
        assert torch.allclose(first[name], (first[f"before.{name}"] + second[f"before.{name}"]) / 2, atol=1e-6)


def _highest_of_three_wishes(rank: int, world_size: int) -> list[int]:
    return GlooSession(rank, world_size).highest([rank, 3 - rank, 2])


def test_all_workers_learn_the_highest_of_their_values(tmp_path: Path) -> None:
    assert in_group(_highest_of_three_wishes, 2, tmp_path) == [[1, 3, 2], [1, 3, 2]]


def test_synchronized_batch_norm_is_refused_on_cpus_and_without_batch_norm() -> None:
    with pytest.raises(StageError, match=r"recipe\.sync_batch_norm: torch synchronizes batch norm on GPUs only"):
        with_synchronized_batch_norm(create_model("test_resnet", 3, 16, 0, 0), "test_resnet", GlooSession(0, 2))
    with pytest.raises(StageError, match=r"recipe\.sync_batch_norm: test_vit has no batch norm"):
        with_synchronized_batch_norm(create_model("test_vit", 3, 32, 0, 0), "test_vit", GlooSession(0, 2))


def test_synchronized_batch_norm_keeps_the_activation_of_timms_layers() -> None:
    on_gpu = GlooSession(0, 2)
    on_gpu.device = torch.device("cuda")
    model = create_model("test_efficientnet", 3, 32, 0, 0)
    changed = with_synchronized_batch_norm(model, "test_efficientnet", on_gpu)
    kinds = {type(layer).__name__ for layer in changed.modules()}
    assert "SyncBatchNormAct" in kinds
    assert not kinds & {"BatchNorm2d", "BatchNormAct2d"}
