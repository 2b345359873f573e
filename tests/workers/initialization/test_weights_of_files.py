"""Trainings that begin with a file of weights, which timm alone has written."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.workers.initialization.conftest import CLASSES, Begin
from workers.initialization.tensors import read_tensors
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason

HEAD = {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(
    "name",
    [
        "plain.safetensors",
        "plain.pth",
        "data_parallel.pth.tar",
        "lightning.pt",
        "compiled.pth",
        "averaged.pth.tar",
        "averaged.pth",
        "before_zip_files.pth",
    ],
)
def test_every_wrapper_of_a_checkpoint_is_understood(begin: Begin, foreign: Path, name: str) -> None:
    uri, report = begin({"kind": "file", "uri": str(foreign / name)})
    wanted = load_file(foreign / "plain.safetensors")
    taken = read_tensors(uri)
    assert set(taken) == set(wanted) - HEAD
    assert all(torch.equal(taken[each], wanted[each]) for each in taken)
    assert set(report.taken) == set(taken)
    assert (set(report.left), set(report.new)) == (HEAD, HEAD)
    weights = report.weights
    assert (weights.tensors_taken, weights.tensors_left, weights.tensors_new) == (len(taken), 2, 2)
    assert weights.digest == hashlib.sha256((foreign / name).read_bytes()).hexdigest()
    assert weights.source == str(foreign / name)


def test_a_classifier_of_as_many_classes_is_taken(begin: Begin, foreign: Path) -> None:
    uri, report = begin({"kind": "file", "uri": str(foreign / "plain.pth")}, classes=CLASSES[:7])
    assert report.left == report.new == ()
    assert set(read_tensors(uri)) >= HEAD


def test_a_classifier_of_other_names_is_made_anew(begin: Begin, foreign: Path) -> None:
    weights = {"kind": "file", "uri": str(foreign / "configured" / "model.safetensors")}
    assert begin(weights, name="same", classes=CLASSES[:7])[1].left == ()
    _, report = begin(weights, name="other", classes=tuple("abcdefg"))
    assert set(report.left) == set(report.new) == HEAD


def test_weights_without_a_classifier_and_with_further_parts_are_taken(begin: Begin, foreign: Path) -> None:
    assert begin({"kind": "file", "uri": str(foreign / "backbone.safetensors")}, name="a")[1].left == ()
    assert begin({"kind": "file", "uri": str(foreign / "two_towers.safetensors")}, name="b")[1].left == ("text.weight",)


def test_the_first_convolution_of_grey_pictures_is_adapted_as_timm_does(begin: Begin, foreign: Path) -> None:
    uri, report = begin({"kind": "file", "uri": str(foreign / "grey.safetensors")})
    by_timm = load_file(foreign / "timm_from_grey.safetensors")["conv1.0.weight"]
    assert by_timm.shape[1] == 3
    assert torch.equal(read_tensors(uri)["conv1.0.weight"], by_timm)
    assert "conv1.0.weight" in report.taken


def test_positions_are_resampled_as_timm_does(begin: Begin, foreign: Path) -> None:
    uri, _ = begin(
        {"kind": "file", "uri": str(foreign / "vit.safetensors")}, recipe={"image_size": 64}, model="test_vit"
    )
    by_timm = load_file(foreign / "timm_small_vit.safetensors")["pos_embed"]
    taken = read_tensors(uri)["pos_embed"]
    assert taken.shape != load_file(foreign / "vit.safetensors")["pos_embed"].shape
    assert torch.equal(taken, by_timm)


def test_the_configuration_beside_the_file_is_the_weights_own(begin: Begin, foreign: Path) -> None:
    configured = begin({"kind": "file", "uri": str(foreign / "configured" / "model.safetensors")}, name="a")[1]
    assert configured.configuration.mean == (0.1, 0.2, 0.3)
    assert configured.configuration.std == (0.4, 0.5, 0.6)
    assert (configured.configuration.crop, configured.configuration.test_crop_fraction) == ("none", 1.0)
    alone = begin({"kind": "file", "uri": str(foreign / "plain.pth")}, name="b")[1].configuration
    assert (alone.mean, alone.image_size, alone.interpolation) == ((0.5, 0.5, 0.5), 160, "bilinear")
    assert (alone.crop, alone.test_crop_fraction) == ("random_resized", 0.95)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.safetensors", "missing.safetensors is not there: name a file"),
        ("missing/weights.pth", "is not there"),
        ("damaged.safetensors", "cannot be read as safetensors"),
        ("damaged.pth", "cannot be read as a checkpoint of torch"),
        ("text.pth", "is no checkpoint of tensors and plain values alone: it is damaged"),
        ("list.pth", r"(holds a list|cannot be read)"),
        ("empty.safetensors", "holds no tensors"),
        ("efficientnet.safetensors", "test_resnet takes nothing of|of another architecture than test_resnet"),
        ("foreign_names.safetensors", r"takes nothing of .*, whose first tensors are .*\.half"),
        ("few.safetensors", "is of another architecture than test_resnet: it has .* of the model's .* weights"),
        ("larger.safetensors", "is of a larger architecture than test_resnet, which has no layer1.9.conv1.weight"),
    ],
)
def test_what_is_no_weights_of_the_model_is_refused(begin: Begin, foreign: Path, name: str, message: str) -> None:
    with pytest.raises(StageError, match=message) as refused:
        begin({"kind": "file", "uri": str(foreign / name)})
    assert refused.value.reason is FailureReason.USER_ERROR
    assert name in str(refused.value)


def test_weights_whose_configuration_names_another_architecture_are_refused(begin: Begin, foreign: Path) -> None:
    with pytest.raises(StageError, match="holds the weights of a test_resnet, not of a test_vit"):
        begin({"kind": "file", "uri": str(foreign / "configured" / "model.safetensors")}, model="test_vit")


@pytest.mark.attack
@pytest.mark.parametrize("name", ["malice.pth", "malice_plain.pt"])
def test_code_in_a_checkpoint_is_refused_and_never_run(begin: Begin, foreign: Path, name: str) -> None:
    with pytest.raises(StageError, match=r"is no checkpoint of tensors.* could run its author's code") as refused:
        begin({"kind": "file", "uri": str(foreign / name)})
    assert refused.value.reason is FailureReason.USER_ERROR
    assert not (foreign / "malice_was_run").exists()


@pytest.mark.attack
def test_a_file_outside_of_the_roots_is_not_read(begin: Begin, foreign: Path, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "link.safetensors").symlink_to(foreign / "plain.safetensors")
    for uri in (foreign / "plain.safetensors", allowed / "link.safetensors", f"{allowed}/../x.pth"):
        with pytest.raises(StageError, match=r"recipe\.init\.uri: .*(outside of the places|refused)"):
            begin({"kind": "file", "uri": str(uri)}, file_roots=(str(allowed),))
    (allowed / "own.safetensors").write_bytes((foreign / "plain.safetensors").read_bytes())
    assert begin({"kind": "file", "uri": str(allowed / "own.safetensors")}, file_roots=(str(allowed),))[1].taken
