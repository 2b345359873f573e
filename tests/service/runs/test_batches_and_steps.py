"""A run's batches and steps on its workers: rejected if it cannot train, reported if it takes weeks."""

from typing import Any

import pytest

from service.config.run import GenerationOverrides, RunConfig, RunDatasets
from service.errors import InvalidRequest
from service.model_catalog import CatalogModel
from service.runs.checks import check_models
from service.runs.run_warnings import run_warnings
from service.runs.training_checks import check_batches
from workers.data.order.lanes import share_of
from workers.specs.noise import Noise
from workers.specs.recipe import Recipe, ResolutionStep
from workers.specs.search import FloatRange, SearchSettings, SearchSpace

CATALOG = {"m": CatalogModel(parameters=1, parameters_per_class=1, drop_path=True, dropout=True, img_size=False)}
WITHOUT_NOISE = Noise(rand_augment=None, dropout=0.0, drop_path=0.0)


def recipe(**changes: Any) -> Recipe:
    return Recipe(**{"noise": WITHOUT_NOISE, "steps": 100, **changes})


def config(workers: int = 2, gpus: float = 0.0, **changes: Any) -> RunConfig:
    values = {
        "name": "r", "datasets": RunDatasets(labeled="a", unlabeled="b", validation="c", test="d"),
        "teacher_model": "m", "student_models": ("m",), "generations": 1,
        "teacher_recipe": recipe(unlabeled_ratio=0), "student_recipe": recipe(), **changes,
    }  # fmt: skip
    made = RunConfig(**values)
    train = made.resources.train.model_copy(update={"num_workers": workers, "gpus_per_worker": gpus})
    return made.model_copy(update={"resources": made.resources.model_copy(update={"train": train})})


def refused(asked: RunConfig) -> str | None:
    try:
        check_models(asked, CATALOG, 3)
    except InvalidRequest as error:
        return error.field
    return None


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_size", range(1, 17))
@pytest.mark.parametrize("ratio", [0.0, 0.4, 1.0, 3.0])
def test_a_batch_is_refused_exactly_where_a_workers_share_is_of_less_than_two(
    workers: int, batch_size: int, ratio: float
) -> None:
    asked = recipe(batch_size=batch_size, unlabeled_ratio=ratio)
    shares = [
        len(share_of(asked.batch_size, rank, workers)) + len(share_of(asked.unlabeled_batch_size, rank, workers))
        for rank in range(workers)
    ]
    if min(shares) < 2:
        with pytest.raises(InvalidRequest, match=f"leaves {min(shares)} for one of them") as caught:
            check_batches("student_recipe", asked, workers, pseudo_labeled=True)
        assert caught.value.field == "student_recipe.batch_size"
    else:
        check_batches("student_recipe", asked, workers, pseudo_labeled=True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, None),
        ({"teacher_recipe": recipe(unlabeled_ratio=0, batch_size=1)}, "teacher_recipe.batch_size"),
        ({"teacher_recipe": recipe(batch_size=1)}, "teacher_recipe.batch_size"),
        ({"student_recipe": recipe(batch_size=1, unlabeled_ratio=1)}, "student_recipe.batch_size"),
        ({"student_recipe": recipe(batch_size=1)}, "student_recipe.batch_size"),
        ({"student_recipe": recipe(batch_size=2)}, None),
        (
            {"student_recipe": recipe(batch_size=2, resolution_step=ResolutionStep(image_size=256, steps=9))},
            "student_recipe.batch_size",
        ),
        (
            {"generation_overrides": {"1": GenerationOverrides(recipe=recipe(batch_size=3, unlabeled_ratio=0))}},
            "generation_overrides.1.recipe.batch_size",
        ),
        (
            {"search": SearchSettings(workers_per_trial=200, space=SearchSpace(dropout=FloatRange(low=0, high=0.5)))},
            "search.workers_per_trial",
        ),
        (
            {
                "student_recipe": recipe(batch_size=4),
                "search": SearchSettings(
                    workers_per_trial=4, space=SearchSpace(unlabeled_ratio=FloatRange(low=0, high=7))
                ),
            },
            "search.workers_per_trial",
        ),
    ],
)
def test_a_run_names_the_field_of_a_batch_that_cannot_train(changes: dict[str, Any], field: str | None) -> None:
    assert refused(config(**changes)) == field


def test_a_teacher_alone_is_not_asked_for_students_batches() -> None:
    alone = config(generations=0, student_models=(), student_recipe=recipe(batch_size=1, unlabeled_ratio=0))
    assert refused(alone) is None


def test_default_steps_on_cpus_are_a_warning() -> None:
    minimal = config(teacher_recipe=Recipe(unlabeled_ratio=0), student_recipe=Recipe())
    warnings = run_warnings(minimal)
    assert [warning.split(":")[0] for warning in warnings] == ["teacher_recipe.steps", "student_recipe.steps"]
    assert all("100,000 steps (the default)" in warning and "CPUs" in warning for warning in warnings)
    assert run_warnings(config(gpus=1.0, teacher_recipe=Recipe(unlabeled_ratio=0))) == []
    assert run_warnings(config()) == []
