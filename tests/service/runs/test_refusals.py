"""What is rejected before a run starts. The kind of database does not matter, so SQLite is enough."""

import pytest

from service.config.run import GenerationOverrides, RunConfig
from service.errors import InvalidRequest
from tests.support.workbench import MakeConfig, Workbench
from workers.specs.datasets import DatasetRole

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def datasets(**changes: str) -> dict[str, str]:
    return {
        "labeled": "ds-labeled",
        "unlabeled": "ds-unlabeled",
        "validation": "ds-validation",
        "test": "ds-test",
        **changes,
    }


def refusal(bench: Workbench, config: RunConfig) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        bench.commands.create_run(config)
    assert bench.queries.list_runs().items == []
    return caught.value


def test_an_unknown_dataset_is_refused_by_its_field(bench: Workbench, run_config: MakeConfig) -> None:
    error = refusal(bench, run_config(datasets=datasets(test="ds-nowhere")))

    assert error.field == "datasets.test"
    assert "ds-nowhere" in error.message


@pytest.mark.parametrize(
    ("part", "wrong"),
    [("labeled", "ds-test"), ("unlabeled", "ds-labeled"), ("validation", "ds-labeled"), ("test", "ds-unlabeled")],
)
def test_a_dataset_of_the_wrong_role_is_refused(
    bench: Workbench, run_config: MakeConfig, part: str, wrong: str
) -> None:
    error = refusal(bench, run_config(datasets=datasets(**{part: wrong})))

    assert error.field == f"datasets.{part}"
    assert "role" in error.message


def test_an_empty_dataset_is_refused(bench: Workbench, run_config: MakeConfig) -> None:
    bench.add_dataset("ds-empty", "unlabeled", hashes=[], rows=0)

    assert refusal(bench, run_config(datasets=datasets(unlabeled="ds-empty"))).field == "datasets.unlabeled"


def test_classes_that_differ_are_named(bench: Workbench, run_config: MakeConfig) -> None:
    bench.add_dataset("ds-zoo", "evaluation", classes=("cat", "emu"))

    error = refusal(bench, run_config(datasets=datasets(validation="ds-zoo")))

    assert error.field == "datasets.validation"
    assert "lacks 'dog' and has also 'emu'" in error.message
    assert error.message.endswith("register it again with the `classes` that GET /datasets/ds-labeled gives")


def test_classes_in_another_order_are_refused(bench: Workbench, run_config: MakeConfig) -> None:
    bench.add_dataset("ds-swapped", "evaluation", classes=("dog", "cat"))

    assert "another order" in refusal(bench, run_config(datasets=datasets(test="ds-swapped"))).message


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("test", "labeled"),
        ("test", "unlabeled"),
        ("validation", "labeled"),
        ("validation", "unlabeled"),
        ("test", "validation"),
    ],
)
def test_an_evaluation_set_that_shares_images_is_refused(
    bench: Workbench, run_config: MakeConfig, part: str, other: str
) -> None:
    shared = [bytes([number]) * 16 for number in range(1, 4)]
    roles: dict[str, DatasetRole] = {"labeled": "labeled", "unlabeled": "unlabeled", "validation": "evaluation"}
    bench.add_dataset("ds-one", "evaluation", hashes=[*shared, b"x" * 16])
    bench.add_dataset("ds-other", roles[other], hashes=[*shared, b"y" * 16])

    error = refusal(bench, run_config(datasets=datasets(**{part: "ds-one", other: "ds-other"})))

    assert error.field == f"datasets.{part}"
    assert "shares 3 image(s)" in error.message
    assert "ds-one" in error.message
    assert "ds-other" in error.message


def test_the_truth_of_pseudo_labels_may_share_the_unlabeled_images(bench: Workbench, run_config: MakeConfig) -> None:
    bench.add_dataset("ds-truth", "evaluation", hashes=[b"ds-unlabeled----"])

    bench.commands.create_run(run_config(datasets=datasets(pseudo_label_truth="ds-truth")))


def test_an_unknown_model_is_refused(bench: Workbench, run_config: MakeConfig) -> None:
    assert refusal(bench, run_config(teacher_model="huge")).field == "teacher_model"
    error = refusal(bench, run_config(generations=2, student_models=["large", "huge"]))
    assert error.field == "student_models.1"


def test_a_smaller_student_is_refused_unless_allowed(bench: Workbench, run_config: MakeConfig) -> None:
    shrinking = {"teacher_model": "large", "student_models": ["small"]}

    assert refusal(bench, run_config(**shrinking)).field == "student_models.0"
    bench.commands.create_run(run_config(**shrinking, allow_smaller_student=True))


def test_a_student_is_compared_with_the_student_before_it(bench: Workbench, run_config: MakeConfig) -> None:
    error = refusal(bench, run_config(generations=2, student_models=["large", "small"]))

    assert error.field == "student_models.1"


@pytest.mark.parametrize("noise", ["drop_path", "dropout"])
def test_noise_that_the_model_does_not_have_is_refused(bench: Workbench, run_config: MakeConfig, noise: str) -> None:
    off = {"rand_augment": None, "dropout": 0.0, "drop_path": 0.0}
    silent, noisy = {"noise": off}, {"noise": {**off, noise: 0.1}}

    teacher = run_config(teacher_model="plain", teacher_recipe=noisy)
    assert refusal(bench, teacher).field == f"teacher_recipe.noise.{noise}"
    student = run_config(student_models=["plain"], student_recipe=noisy)
    assert refusal(bench, student).field == f"student_recipe.noise.{noise}"
    bench.commands.create_run(run_config(student_models=["plain"], student_recipe=silent))


def test_views_are_refused_for_the_teachers_that_could_gain_nothing_from_them(
    bench: Workbench, run_config: MakeConfig
) -> None:
    labeling = {"views": {"flip": True}}
    overrides = {str(number): {"recipe": {"horizontal_flip": False}} for number in (1, 2)}

    error = refusal(bench, run_config(generations=2, labeling=labeling, generation_overrides=overrides))

    assert error.field == "labeling.views.flip"
    assert "generation_overrides.1.recipe has horizontal_flip false" in error.message
    last = run_config(generations=2, labeling=labeling, generation_overrides={"2": overrides["2"]})
    run_id = bench.commands.create_run(last).id
    bench.play_to_the_end(bench.reconciler())
    with pytest.raises(InvalidRequest, match="the recipe of the generation before") as caught:
        bench.commands.add_generation(run_id, GenerationOverrides())
    assert caught.value.field == "labeling.views.flip"
