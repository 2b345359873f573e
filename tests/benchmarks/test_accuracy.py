import pytest

from benchmarks.method.accuracy import equal_compute_steps, reduction, rows, run_config
from noisy_student.local.demo.run import demo_run_config


def test_reduction_is_the_share_of_the_rivals_errors_that_are_gone() -> None:
    assert reduction(0.90, 0.95) == pytest.approx(0.5)
    assert reduction(0.95, 0.90) == pytest.approx(-1.0)


def test_the_equal_compute_rival_sees_as_many_images_as_the_whole_run() -> None:
    recipe = {"steps": 100, "batch_size": 10}
    config = {
        "generations": 2,
        "teacher_recipe": recipe,
        "student_recipe": {"steps": 50, "batch_size": 10, "unlabeled_ratio": 3},
    }
    assert equal_compute_steps(config) * 10 == 100 * 10 + 2 * 50 * 10 * 4


def test_the_variants_differ_in_what_they_are_named_for_alone() -> None:
    datasets = {"labeled": "ds-1"}
    noisy, quiet = (run_config(variant, datasets, 3) for variant in ("noisy", "without_noise"))
    assert quiet["student_recipe"]["noise"] == {"rand_augment": None, "dropout": 0.0, "drop_path": 0.0}
    assert {**quiet, "student_recipe": noisy["student_recipe"], "name": noisy["name"]} == noisy
    assert noisy["student_recipe"] == demo_run_config()["student_recipe"]


def test_rows_are_means_over_the_seeds() -> None:
    seeds = [
        {"noisy": [0.90, 0.95], "equal_compute": [0.92], "without_noise": [0.90, 0.91]},
        {"noisy": [0.80, 0.95], "equal_compute": [0.90], "without_noise": [0.80, 0.82]},
    ]
    made = {row["name"]: row for row in rows(seeds)}
    assert made["accuracy.error_reduction"]["runs"] == pytest.approx([0.5, 0.75])
    assert made["accuracy.error_reduction"]["value"] == pytest.approx(0.625)
    assert made["accuracy.error_reduction_vs_equal_compute"]["runs"] == pytest.approx([0.375, 0.5])
    assert made["accuracy.error_reduction_without_noise"]["runs"] == pytest.approx([0.1, 0.1])
