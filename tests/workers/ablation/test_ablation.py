"""The ablation without Ray: what each variant changes, what is trained once, and the table."""

from pathlib import Path
from typing import Any

import pytest

from workers.ablation.table import ablation_lines
from workers.ablation.training_book import TrainingBook, read_trainings
from workers.ablation.variants import same_as, students, training_seed
from workers.runtime.stage_reporter import StageReporter
from workers.specs.ablation import VARIANTS, AblationSettings, AblationTraining, Variant
from workers.specs.initialization import FileInit, PretrainedInit, TeacherInit
from workers.specs.labeling import PseudoLabels
from workers.specs.noise import Noise, RandAugment
from workers.specs.recipe import Recipe
from workers.specs.selection import Materialization, SelectionSettings
from workers.specs.stages import AblateSpec, SelectSpec, TrainSpec
from workers.specs.worker_group import WorkerGroup

RECIPE = Recipe(steps=1000, unlabeled_ratio=3, noise=Noise(rand_augment=RandAugment(n=2, m=9)))

RATIOS: tuple[Variant, ...] = ("ratio_1", "ratio_3", "ratio_7")


def ablate_spec(folder: Path, attempt: int = 1, teacher_model: str = "student", **settings: Any) -> AblateSpec:
    common: dict[str, Any] = {
        "run_id": "ablation-1",
        "generation": 1,
        "attempt": attempt,
        "folder_uri": str(folder),
        "seed": 7,
    }
    return AblateSpec(
        **common,
        base=TrainSpec(
            **common,
            model="student",
            classes=("a", "b"),
            recipe=RECIPE,
            labeled_manifest_uri="/labeled",
            validation_manifest_uri="/validation",
            pseudo_labels=PseudoLabels(manifest_uri="/m", labels_uri="/l", selection_uri="/selection"),
            workers=WorkerGroup(num_workers=4),
        ),
        selection=SelectSpec(
            **common,
            manifest_uri="/m",
            labels_uri="/l",
            classes=("a", "b"),
            settings=SelectionSettings(min_confidence=0.8, max_per_class=50),
        ),
        settings=AblationSettings(**settings),
        teacher_uri="/teacher",
        teacher_model=teacher_model,
        teacher_error=0.1,
        judged_manifest_uri="/judged",
    )


def test_each_variant_takes_one_thing_away(tmp_path: Path) -> None:
    found, left_out = students(ablate_spec(tmp_path, smaller_student="tiny"))
    assert tuple(found) == VARIANTS
    assert left_out == {}
    full = found["full"]
    assert found["no_rand_augment"].recipe.noise == Noise(rand_augment=None)
    assert found["no_dropout"].recipe.noise.dropout == 0
    assert found["no_drop_path"].recipe.noise.drop_path == 0
    assert found["no_noise"].recipe.noise == Noise(rand_augment=None, dropout=0, drop_path=0)
    assert found["no_balancing"].selection == SelectionSettings(min_confidence=0.8, fill_up=False)
    assert found["no_filter"].selection == SelectionSettings(min_confidence=0, max_per_class=50)
    assert found["hard_labels"].recipe.targets == "hard"
    assert found["teacher_initialisation"].recipe.init == TeacherInit(kind="teacher", follow=())
    assert found["smaller_student"].model == "tiny"
    assert [found[ratio].recipe.unlabeled_ratio for ratio in RATIOS] == [1, 3, 7]
    for variant, student in found.items():
        changed = [
            student.model != full.model,
            student.recipe != full.recipe,
            student.selection != full.selection,
        ]
        assert sum(changed) == (0 if variant in ("full", "ratio_3", "random_initialisation") else 1), variant


def test_a_variant_overrides_where_the_student_begins_and_nothing_else(tmp_path: Path) -> None:
    spec = ablate_spec(tmp_path, smaller_student="tiny")
    for init, smaller_begins in (
        (PretrainedInit(kind="pretrained", follow=()), "pretrained"),
        (PretrainedInit(kind="pretrained", name="hf-hub:acme/pets", follow=()), "random"),
        (FileInit(kind="file", uri="/w.pth", follow=()), "random"),
    ):
        recipe = RECIPE.model_copy(update={"init": init, "freeze": 2})
        pretrained = spec.model_copy(update={"base": spec.base.model_copy(update={"recipe": recipe})})
        found, _ = students(pretrained)
        kinds = {variant: student.recipe.init.kind for variant, student in found.items()}
        assert kinds.pop("teacher_initialisation") == "teacher"
        assert kinds.pop("random_initialisation") == "random"
        assert kinds.pop("smaller_student") == smaller_begins
        assert set(kinds.values()) == {init.kind}
        assert found["random_initialisation"].recipe.freeze == 0
        assert set(same_as(found).values()) >= {"random_initialisation", "teacher_initialisation"}
        as_full = found["random_initialisation"].recipe.model_copy(update={"init": init, "freeze": 2})
        assert as_full == found["full"].recipe


def test_what_cannot_be_trained_is_left_out_with_the_reason(tmp_path: Path) -> None:
    _, left_out = students(ablate_spec(tmp_path, teacher_model="another"))
    assert set(left_out) == {"smaller_student", "teacher_initialisation"}
    assert "the teacher is a another" in left_out["teacher_initialisation"]


def test_the_same_student_is_trained_once(tmp_path: Path) -> None:
    found, _ = students(ablate_spec(tmp_path))
    assert same_as(found)["ratio_3"] == "full"
    assert same_as(found)["ratio_1"] == "ratio_1"


def test_the_full_student_is_always_there_and_the_budget_scales_its_steps(tmp_path: Path) -> None:
    found, _ = students(ablate_spec(tmp_path, variants=("no_noise",), steps_fraction=0.4))
    assert list(found) == ["full", "no_noise"]
    assert (found["full"].recipe.steps, found["full"].recipe.schedule.warmup_steps) == (400, 40)


def book_of(spec: AblateSpec) -> TrainingBook:
    found, _ = students(spec)
    reporter = StageReporter(spec, entered_at=0.0, clock=lambda: 1.0)
    reporter.announce(4, "trials")
    bases = {
        variant: spec.base.model_copy(update={"model": student.model, "recipe": student.recipe})
        for variant, student in found.items()
    }
    return TrainingBook(spec, bases, dict.fromkeys(found, "/selection"), reporter, clock=lambda: 1.0)


def test_every_student_is_trained_with_the_same_seeds_and_judged_on_the_images_that_are_asked_for(
    tmp_path: Path,
) -> None:
    book = book_of(ablate_spec(tmp_path, variants=("no_noise",), seeds=2))
    trainings = [book.propose() for _ in range(4)]
    assert book.propose() is None
    assert [t.spec.seed for t in trainings] == [training_seed(7, 0)] * 2 + [training_seed(7, 1)] * 2
    assert {t.spec.validation_manifest_uri for t in trainings} == {"/judged"}
    assert {t.spec.workers.num_workers for t in trainings} == {1}
    assert len({t.spec.folder_uri for t in trainings}) == 4


def test_a_resumed_ablation_repeats_what_failed_or_was_interrupted_only(tmp_path: Path) -> None:
    book = book_of(ablate_spec(tmp_path, variants=("no_noise",), seeds=2))
    for number in range(3):
        book.propose()
        book.started(number)
        book.reported(number, 10, {"validation_top1": 0.9})
    book.ended_with(0, None)
    book.ended_with(1, "lost")
    assert read_trainings(ablate_spec(tmp_path))[("full", 0)].top1 == 0.9

    again = book_of(ablate_spec(tmp_path, attempt=2, variants=("no_noise",), seeds=2))
    assert [again.propose().number for _ in range(3)] == [1, 2, 3]
    assert again.propose() is None


def test_the_table_compares_equal_seeds(tmp_path: Path) -> None:
    found, _ = students(ablate_spec(tmp_path, variants=("no_noise", "ratio_3")))

    def finished(variant: Variant, seed: int, accuracy: float) -> AblationTraining:
        return AblationTraining(variant=variant, seed=seed, state="finished", top1=accuracy)

    lines = ablation_lines(
        found,
        same_as(found),
        [
            finished("full", 0, 0.9),
            finished("full", 1, 0.8),
            finished("no_noise", 0, 0.85),
            finished("no_noise", 1, 0.70),
            AblationTraining(variant="no_noise", seed=2, state="failed"),
        ],
    )
    by_variant = {line.variant: line for line in lines}
    assert by_variant["no_noise"].error_change == pytest.approx(0.075)
    assert by_variant["no_noise"].error_change_deviation == pytest.approx(0.0353553, abs=1e-6)
    assert by_variant["no_noise"].seeds == 2
    assert (by_variant["ratio_3"].same_as, by_variant["ratio_3"].error_change) == ("full", 0)
    assert by_variant["full"].error == pytest.approx(0.15)


def test_without_a_filter_no_class_has_a_threshold_of_its_own(tmp_path: Path) -> None:
    spec = ablate_spec(tmp_path)
    for own in ({"thresholds": "flexmatch"}, {"share_per_class": 0.5}):
        settings = spec.selection.settings.model_copy(update=own)
        changed = spec.model_copy(update={"selection": spec.selection.model_copy(update={"settings": settings})})
        unfiltered = students(changed)[0]["no_filter"].selection
        assert (unfiltered.thresholds, unfiltered.share_per_class, unfiltered.min_confidence) == ("fixed", 1, 0)


def test_selections_of_variants_are_not_written_out_as_training_shards(tmp_path: Path) -> None:
    spec = ablate_spec(tmp_path)
    own = spec.selection.settings.model_copy(update={"materialize": Materialization()})
    spec = spec.model_copy(update={"selection": spec.selection.model_copy(update={"settings": own})})
    found = students(spec)[0]
    assert found["full"].selection.materialize == Materialization()
    assert found["no_filter"].selection.materialize is None
    assert found["no_balancing"].selection.materialize is None
