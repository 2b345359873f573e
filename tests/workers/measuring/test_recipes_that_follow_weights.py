"""A plan measures students at the size of picture that their initial weights ask for."""

import time
from pathlib import Path

import timm
from safetensors.torch import save_file

from workers.measuring.stage import with_recipes_that_follow_weights
from workers.runtime.stage_reporter import StageReporter
from workers.specs.initialization import FileInit, TeacherInit
from workers.specs.measure import MeasuredStudent
from workers.specs.recipe import Recipe
from workers.specs.stages import ActorPool, MeasureSpec
from workers.specs.worker_group import WorkerGroup


def test_a_teacher_follows_its_weights_and_its_student_follows_the_teacher(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), weights)
    spec = measure_spec(tmp_path, str(weights))
    found = with_recipes_that_follow_weights(spec, str(tmp_path / "sample"), StageReporter(spec, time.time()))
    teacher, student, other = (each.recipe for each in found.students)
    assert (teacher.image_size, teacher.mean, teacher.interpolation) == (160, (0.5, 0.5, 0.5), "bilinear")
    assert (student.image_size, student.mean, student.interpolation) == (160, (0.1, 0.1, 0.1), "bilinear")
    assert other == Recipe()


def measure_spec(folder: Path, weights: str) -> MeasureSpec:
    student = Recipe(init=TeacherInit(kind="teacher"), mean=(0.1, 0.1, 0.1))
    return MeasureSpec(
        run_id="plan-1",
        generation=0,
        attempt=1,
        folder_uri=str(folder / "measure"),
        seed=1,
        classes=("a", "b", "c", "d"),
        students=(
            MeasuredStudent(
                model="test_resnet",
                recipe=Recipe(init=FileInit(kind="file", uri=weights), unlabeled_ratio=0),
                pseudo_labeled=False,
            ),
            MeasuredStudent(model="test_resnet", recipe=student, pseudo_labeled=True),
            MeasuredStudent(model="test_vit", recipe=Recipe(), pseudo_labeled=True),
        ),
        labeled_manifest_uri="/l",
        unlabeled_manifest_uri=None,
        validation_manifest_uri="/v",
        test_manifest_uri="/t",
        workers=WorkerGroup(),
        pool=ActorPool(),
        sample_seconds=1.0,
    )
