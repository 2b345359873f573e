"""A preset is suggested by the size of the pictures, the number of labels and the GPUs, and the reasons are said."""

import pytest

from service.config.presets.suggested import suggest_preset


@pytest.mark.parametrize(
    ("labeled", "side", "gpus", "expected"),
    [
        (1000, 28, 0, "small-pictures"),
        (1000, 64, 8, "small-pictures"),
        (1000, 224, 0, "small-pictures"),
        (1000, 224, None, "small-pictures"),
        (1000, 224, 1, "fine-tune"),
        (1_281_167, 224, 8, "paper-b0"),
        (1000, None, 1, "fine-tune"),
    ],
)
def test_the_preset_follows_the_pictures_the_labels_and_the_gpus(
    labeled: int, side: int | None, gpus: float | None, expected: str
) -> None:
    found = suggest_preset(labeled, side, 10, gpus)
    assert found.preset == expected
    assert found.reasons


def test_a_few_labeled_images_get_enough_steps_and_a_lower_threshold() -> None:
    few, many = suggest_preset(40, 32, 5, 0), suggest_preset(40_000, 32, 5, 0)
    assert (few.teacher_steps, few.student_steps, few.min_confidence) == (400, 200, 0.5)
    assert many.teacher_steps == 100 * 40_000 / 32
    assert many.min_confidence is None
    assert (few.image_size, few.horizontal_flip) == (None, None)


def test_larger_pictures_are_shrunk_less_and_flipped() -> None:
    assert suggest_preset(1000, 48, 5, 0).image_size == 64
    photographs = suggest_preset(1000, 480, 5, 0)
    assert (photographs.image_size, photographs.horizontal_flip) == (64, True)


def test_a_preset_that_is_asked_for_is_not_changed_for_another() -> None:
    found = suggest_preset(1000, 480, 5, 0, "fine-tune")
    assert (found.preset, found.model, found.reasons) == ("fine-tune", "resnet50", ())


def test_students_see_more_of_a_large_pool_within_bounds() -> None:
    def steps(pool: int) -> int:
        return suggest_preset(1000, 32, 10, 0, unlabeled_images=pool).student_steps

    assert steps(1000) == steps(0) == 1031
    assert steps(96_000) == 2000
    assert steps(10**9) == 5 * 1031
