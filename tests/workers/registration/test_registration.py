"""The verify stage, on weights that timm and torch alone have written in another process."""

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image
from sklearn.datasets import load_digits

from workers.initialization.own_process import in_own_process
from workers.models.files import read_card
from workers.models.predictor import Predictor
from workers.registration.registering import register
from workers.registration.stage import run_verify
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.initialization import INPUT_FIELDS
from workers.specs.model_card import MODEL_CARD_FILE
from workers.specs.registration import RegistrationSettings
from workers.specs.reports import FailureReason
from workers.specs.results import VerifyResult
from workers.specs.stages import VerifySpec

CLASSES = tuple(str(digit) for digit in range(10))
SAID = {
    "model": "test_resnet",
    "classes": CLASSES,
    "input": {"image_size": 32, "mean": (0.3, 0.3, 0.3), "std": (0.4, 0.4, 0.4), "crop": "none"},
}
"""What a bare checkpoint does not say itself."""
Register = Callable[..., VerifyResult]


def png(pixels: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with digits.parquet, and with the model that another program has trained on it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    digits = load_digits()
    table = {"image": [png(pixels) for pixels in digits.images], "label": [str(digit) for digit in digits.target]}
    pq.write_table(pa.table(table), folder / "digits.parquet")
    script = Path(__file__).parents[2] / "support" / "trained_elsewhere.py"
    command = [sys.executable, "-P", str(script), str(folder / "digits.parquet"), str(folder), *CLASSES]
    subprocess.run(command, cwd=folder, env={}, check=True, timeout=300)
    return folder


@pytest.fixture
def spec_of(elsewhere: Path, tmp_path: Path) -> Callable[..., VerifySpec]:
    """Makes the spec of a registration whose check labels the digits."""

    def make(uri: Path, labels: tuple[str, ...] = CLASSES, roots: Any = None, **settings: Any) -> VerifySpec:
        rows = pq.read_metadata(elsewhere / "digits.parquet").num_rows
        manifest = DatasetManifest(
            dataset_id="ds-digits",
            role="labeled" if labels else "unlabeled",
            format="parquet",
            classes=labels,
            label_column="label" if labels else None,
            rows=rows,
            shards=(Shard(uri=str(elsewhere / "digits.parquet"), rows=rows),),
        )
        (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
        return VerifySpec(
            run_id="model-1",
            generation=0,
            attempt=1,
            folder_uri=str(tmp_path / "verify"),
            seed=0,
            settings=RegistrationSettings.model_validate({"uri": str(uri), **settings}),
            manifest_uri=str(tmp_path / "manifest.json"),
            file_roots=roots,
        )

    return make


@pytest.fixture
def registered(spec_of: Callable[..., VerifySpec]) -> Register:
    """Registers in this process."""
    return lambda uri, **changes: register(spec_of(uri, **changes))


def refused(registered: Register, uri: Path, **changes: Any) -> str:
    with pytest.raises(StageError) as caught:
        registered(uri, **changes)
    assert caught.value.reason is FailureReason.USER_ERROR
    return caught.value.message


def test_a_folder_of_timms_says_everything_itself(
    spec_of: Callable[..., VerifySpec], elsewhere: Path, tmp_path: Path
) -> None:
    spec = spec_of(elsewhere / "timm")
    result = run_verify(spec, StageReporter(spec, time.time()))
    assert (result.model, result.classes) == ("test_resnet", CLASSES)
    assert (result.check.images, result.check.bad_images, result.check.warnings) == (64, 0, ())
    assert result.check.top1 is not None
    assert result.check.top1 > 0.8
    weights = result.initial_weights.weights
    assert (weights.source, weights.tensors_left, weights.tensors_new) == (
        str(elsewhere / "timm" / "model.safetensors"), 0, 0
    )  # fmt: skip
    card = read_card(result.model_uri)
    assert (card.imported_from, card.validation_top1) == (weights.source, result.check.top1)
    assert (card.image_size, card.mean, card.crop) == (32, (0.3, 0.3, 0.3), "none")
    assert card.teachers == ()

    # The stage's folder is what a training leaves: timm loads it, and it answers as the original does.
    ours = timm.create_model(f"local-dir:{result.model_uri}", pretrained=True).eval()
    theirs = timm.create_model(f"local-dir:{elsewhere / 'timm'}", pretrained=True).eval()
    pictures = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(ours(pictures), theirs(pictures))
    config = json.loads((Path(result.model_uri) / "config.json").read_text())
    assert config["label_names"] == list(CLASSES)


def test_a_checkpoint_of_several_gpus_is_the_same_model_once_the_rest_is_said(
    registered: Register, elsewhere: Path
) -> None:
    result = registered(elsewhere / "checkpoint.pth", images=200, **SAID)
    assert result.check.images == 200
    assert result.check.top1 is not None
    assert result.check.top1 > 0.8
    bare = safetensors.torch.load_file(f"{result.model_uri}/model.safetensors")
    saved = safetensors.torch.load_file(elsewhere / "timm" / "model.safetensors")
    assert all(torch.equal(bare[name], saved[name]) for name in saved)
    probabilities = Predictor(result.model_uri).predict([png(load_digits().images[0])]).probabilities
    assert probabilities.argmax() == load_digits().target[0]


def test_classes_may_be_the_lines_of_a_file_and_the_input_may_be_overridden(
    registered: Register, elsewhere: Path, tmp_path: Path
) -> None:
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).write_bytes((elsewhere / "timm" / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    del config["label_names"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert refused(registered, tmp_path).startswith("settings.classes: neither a config.json")
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    result = registered(tmp_path, input={"mean": (0.1, 0.2, 0.3), "crop": "center", "crop_fraction": 0.5})
    assert result.classes == CLASSES
    card = read_card(result.model_uri)
    assert (card.mean, card.std, card.crop, card.crop_fraction) == ((0.1, 0.2, 0.3), (0.4, 0.4, 0.4), "center", 0.5)
    seen = result.initial_weights.configuration
    assert {name: getattr(seen, name) for name in INPUT_FIELDS}["test_crop_fraction"] == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": CLASSES[:9]}, "settings.classes: the classifier of "),
        ({"classes": (*CLASSES, "ten")}, "settings.classes: the classifier of "),
        ({"model": None}, "settings.model: no config.json"),
        ({"classes": None}, "settings.classes: neither a config.json"),
        ({"model": "test_efficientnet"}, ""),
    ],
)
def test_weights_that_do_not_fit_what_is_said_are_refused(
    registered: Register, elsewhere: Path, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    said = refused(registered, elsewhere / "checkpoint.pth", **{**SAID, **changes})
    assert said.startswith(message)
    if "classifier" in message:
        assert "has 10 outputs" in said
    assert not (tmp_path / "verify" / MODEL_CARD_FILE).exists()


def changed_weights(elsewhere: Path, tmp_path: Path, **changes: Any) -> Path:
    """A copy of the weights in which these tensors are others, or left out if they are None."""
    state = safetensors.torch.load_file(elsewhere / "timm" / "model.safetensors")
    for name, value in changes.items():
        full = name.replace("__", ".")
        if value is None:
            del state[full]
        else:
            state[full] = value(state[full]) if full in state else value(torch.zeros(1))
    file = tmp_path / "changed.safetensors"
    safetensors.torch.save_file(state, file)
    return file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer1__0__conv1__weight": None}, "lacks 1 tensors of test_resnet: layer1.0.conv1.weight"),
        ({"fc__bias": None}, "lacks 1 tensors of test_resnet: fc.bias"),
        ({"extra__weight": torch.ones_like}, "has 1 tensors that test_resnet does not know: extra.weight"),
        ({"fc__bias": lambda value: value * float("nan")}, "has values that are not finite, in fc.bias"),
    ],
)
def test_tensors_that_are_missing_unknown_or_not_finite_are_named(
    registered: Register, elsewhere: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    said = refused(registered, changed_weights(elsewhere, tmp_path, **changes), **SAID)
    assert said.startswith("settings.uri: ")
    assert message in said


def test_a_model_that_answers_with_nan_is_refused_though_its_weights_are_finite(
    registered: Register, elsewhere: Path, tmp_path: Path
) -> None:
    huge = changed_weights(elsewhere, tmp_path, conv1__0__weight=lambda value: value * 3e38)
    assert "NaN" in refused(registered, huge, **SAID)


def test_a_model_that_names_one_class_for_everything_is_registered_with_a_warning(
    registered: Register, elsewhere: Path, tmp_path: Path
) -> None:
    stuck = changed_weights(
        elsewhere, tmp_path, fc__weight=torch.zeros_like, fc__bias=lambda value: torch.arange(10).float()
    )
    result = registered(stuck, **SAID)
    assert result.check.classes_named == 1
    assert any(
        warning.startswith("it names the class '9' for each of the 64 images") for warning in result.check.warnings
    )


def test_classes_in_another_order_than_the_outputs_show_as_an_accuracy_no_better_than_chance(
    registered: Register, elsewhere: Path
) -> None:
    turned = (*CLASSES[1:], CLASSES[0])
    result = registered(elsewhere / "checkpoint.pth", **{**SAID, "classes": turned})
    assert result.check.top1 is not None
    assert result.check.top1 < 0.2
    assert any("no more than by chance" in warning for warning in result.check.warnings)


def test_without_labels_or_with_others_the_accuracy_is_unknown(registered: Register, elsewhere: Path) -> None:
    assert registered(elsewhere / "timm", labels=()).check.top1 is None
    named = tuple(f"digit {name}" for name in CLASSES)
    result = registered(elsewhere / "checkpoint.pth", **{**SAID, "classes": named})
    assert result.check.top1 is None
    assert any("its accuracy is unknown: the class '0'" in warning for warning in result.check.warnings)


def test_weights_outside_of_the_projects_roots_are_not_read(registered: Register, elsewhere: Path) -> None:
    assert "settings.uri: " in refused(registered, elsewhere / "timm", roots=("/nowhere",))


def test_places_without_weights_are_refused(registered: Register, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "has neither model.safetensors nor pytorch_model.bin" in refused(registered, tmp_path / "empty", **SAID)
    assert "is not there" in refused(registered, tmp_path / "none.pth", **SAID)


def test_a_file_that_is_far_too_large_for_the_model_is_not_read(registered: Register, tmp_path: Path) -> None:
    with (tmp_path / "huge.pth").open("wb") as file:
        file.truncate(2 << 30)  # takes no room on the disk
    assert "has 2,147,483,648 bytes" in refused(registered, tmp_path / "huge.pth", **SAID)


def test_a_pickle_that_would_run_code_is_refused_and_its_code_does_not_run(
    registered: Register, tmp_path: Path
) -> None:
    class Malice:
        def __reduce__(self) -> tuple[Any, ...]:
            return open, (str(tmp_path / "was_run"), "w")

    torch.save({"state_dict": {"fc.bias": torch.zeros(3)}, "extra": Malice()}, tmp_path / "malice.pth")
    assert "loading it could run its author's code" in refused(registered, tmp_path / "malice.pth", **SAID)
    assert not (tmp_path / "was_run").exists()


def test_a_process_that_is_killed_while_it_reads_is_an_error_of_memory() -> None:
    with pytest.raises(StageError) as caught:
        in_own_process(_killed, lambda: None)
    assert caught.value.reason is FailureReason.OUT_OF_MEMORY


def _killed() -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
