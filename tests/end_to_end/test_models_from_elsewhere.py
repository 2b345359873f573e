"""A model that timm alone has trained, on a real Ray: it is registered, it teaches, and its weights begin a student."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image

from noisy_student.client import Client
from service.views.lineage import RegistrationView
from service.views.runs import RunView
from tests.end_to_end.conftest import SmallRun, has_ended, result_of, stages_of, wait_until
from workers.specs.initialization import INITIAL_FOLDER, REPORT_FILE, TENSORS_FILE, InitialWeightsReport


@pytest.fixture(scope="module")
def elsewhere(client: Client, digits: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which another program has left the model that it has trained on the pool's true labels."""
    folder = tmp_path_factory.mktemp("elsewhere")
    truth = client.datasets.get(digits["pseudo_label_truth"])
    script = Path(__file__).parents[1] / "support" / "trained_elsewhere.py"
    command = [sys.executable, "-P", str(script), truth.uri, str(folder), *truth.classes]
    subprocess.run(command, cwd=folder, env={}, check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def registered(client: Client, digits: dict[str, str], elsewhere: Path) -> RegistrationView:
    registration = client.models.register(
        {
            "name": "digits from elsewhere",
            "uri": str(elsewhere / "timm"),
            "check": {"dataset": digits["validation"], "images": 200},
        }
    )
    run = wait_until(client, registration.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    return client.models.registration(registration.id)


@pytest.fixture(scope="module")
def taught_run(client: Client, small_run: SmallRun, elsewhere: Path, registered: RegistrationView) -> RunView:
    """A run whose teacher is that model, and whose student begins with the file of its weights."""
    assert registered.model is not None
    body = small_run(gate={"conditions": ["top1 > 0.01"]})
    recipe = {**body["student_recipe"], "init": {"kind": "file", "uri": str(elsewhere / "timm" / "model.safetensors")}}
    for field in ("teacher_model", "teacher_recipe"):
        del body[field]
    run_id = client.runs.create({**body, "teacher": {"model": registered.model.id}, "student_recipe": recipe}).id
    run = wait_until(client, run_id, has_ended)
    assert run.state == "succeeded", run.state_reason
    return run


def test_the_model_is_registered_with_its_origin_and_its_accuracy(
    registered: RegistrationView, client: Client, elsewhere: Path, tmp_path: Path
) -> None:
    assert registered.check is not None
    assert registered.check.images == 200
    assert registered.check.top1 is not None
    assert registered.check.top1 > 0.7
    assert registered.check.warnings == ()
    model = registered.model
    assert model is not None
    assert model.imported_from == str(elsewhere / "timm" / "model.safetensors")
    assert model in list(client.models.list())

    folder = client.models.pull(model.id, tmp_path / "pulled")
    assert f"imported from `{model.imported_from}`" in (folder / "README.md").read_text()
    ours = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    theirs = timm.create_model(f"local-dir:{elsewhere / 'timm'}", pretrained=True).eval()
    pictures = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(ours(pictures), theirs(pictures))


def test_generation_0_only_evaluates_it_and_the_student_is_compared_with_it(
    taught_run: RunView, registered: RegistrationView, client: Client
) -> None:
    assert [(stage.generation, stage.name) for stage in stages_of(taught_run)] == [
        (0, "evaluate"), (1, "label"), (1, "select"), (1, "train"), (1, "evaluate")
    ]  # fmt: skip
    teacher, student = taught_run.generation_details
    assert registered.model is not None
    assert teacher.model is not None
    assert teacher.model.id == registered.model.id
    assert teacher.model.test_top1 == result_of(teacher.stages[0])["metrics"]["top1"]
    assert student.promoted is True
    line = list(client.models.lineage(f"{taught_run.id}-g1").line())
    assert [each.model_id for each in line] == [f"{taught_run.id}-g1", registered.model.id]


def test_the_pseudo_labels_are_what_timm_alone_says_of_the_pool(
    taught_run: RunView, elsewhere: Path, client: Client, digits: dict[str, str]
) -> None:
    model = timm.create_model(f"local-dir:{elsewhere / 'timm'}", pretrained=True).eval()
    data = timm.data.resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    prepare = timm.data.create_transform(**data)
    rows = pq.read_table(client.datasets.get(digits["unlabeled"]).uri, columns=["image"]).slice(0, 300)
    pictures = [prepare(Image.open(io.BytesIO(data)).convert("RGB")) for data in rows["image"].to_pylist()]
    with torch.no_grad():
        said = model(torch.stack(pictures)).argmax(1).numpy()
    [label] = [stage for stage in stages_of(taught_run) if stage.name == "label"]
    labeled = pq.read_table(Path(label.folder_uri) / "part-00000.parquet", columns=["label"])["label"].to_numpy()
    assert np.mean(labeled[:300] == said) > 0.99


def test_the_student_began_with_the_file_and_its_driver_left_the_report(taught_run: RunView, elsewhere: Path) -> None:
    [train] = [stage for stage in stages_of(taught_run) if stage.name == "train"]
    weights = result_of(train)["initial_weights"]["weights"]
    assert (weights["kind"], weights["source"]) == ("file", str(elsewhere / "timm" / "model.safetensors"))
    assert (weights["tensors_left"], weights["tensors_new"]) == (0, 0)
    left = Path(train.folder_uri) / INITIAL_FOLDER
    report = InitialWeightsReport.model_validate_json((left / REPORT_FILE).read_bytes())
    assert set(report.followed) <= {"mean", "std", "test_crop_fraction", "interpolation"}
    assert not (left / TENSORS_FILE).exists()


@pytest.mark.long
def test_an_ablation_begins_its_trainings_with_the_file_with_random_weights_and_with_the_teachers(
    taught_run: RunView, registered: RegistrationView, client: Client
) -> None:
    variants = ["teacher_initialisation", "random_initialisation"]
    settings = {"variants": variants, "seeds": 1, "steps_fraction": 0.25}
    ablation = client.ablations.create(taught_run.id, {"generation": 1, "settings": settings})
    run = wait_until(client, ablation.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    outcome = client.ablations.get(ablation.id).outcome
    assert outcome is not None
    assert [line.variant for line in outcome.lines] == ["full", *variants]
    teacher = taught_run.generation_details[0].model
    assert teacher is not None
    assert teacher.validation_top1 is not None
    assert outcome.teacher_error == pytest.approx(1 - teacher.validation_top1)

    left = Path(stages_of(run)[0].folder_uri) / INITIAL_FOLDER
    sources = {
        each.name: InitialWeightsReport.model_validate_json((each / REPORT_FILE).read_bytes()).weights
        for each in left.iterdir()
    }
    assert registered.model is not None
    assert {name: weights.kind for name, weights in sources.items()} == {
        "full": "file",
        "teacher_initialisation": "teacher",
    }
    errors = {line.variant: line.error for line in outcome.lines}
    # Ten steps from random weights teach nearly nothing; the others begin with a model that knows the digits.
    assert errors["full"] < errors["random_initialisation"]
    assert errors["teacher_initialisation"] < errors["random_initialisation"]
