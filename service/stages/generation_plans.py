"""Derives what each generation of a run trains, its plan and its seed, from the run's configuration. No I/O."""

import hashlib
from collections.abc import Iterable, Sequence

from service.config.run import GenerationOverrides, GenerationPlan, RunConfig
from workers.specs.initialization import INPUT_FIELDS, ModelInit
from workers.specs.measure import MeasuredStudent
from workers.specs.recipe import Recipe


def generation_plans(config: RunConfig) -> list[GenerationPlan]:
    """Returns the plans of all generations: the teacher's, then the students'."""
    models = config.student_models if len(config.student_models) > 1 else config.student_models * config.generations
    students = [
        student_plan(config, number, model, config.generation_overrides.get(str(number), GenerationOverrides()))
        for number, model in enumerate(models[: config.generations], start=1)
    ]
    return [_teacher_plan(config), *students]


def _teacher_plan(config: RunConfig) -> GenerationPlan:
    given = config.teacher
    recipe = config.teacher_recipe
    if given is not None:
        # Nothing is trained with it, but a plan measures the model at the size that its weights are for.
        recipe = Recipe(unlabeled_ratio=0, init=ModelInit(kind="model", id=given.model, follow=INPUT_FIELDS))
    model = config.teacher_model if given is None else given.architecture
    return GenerationPlan(
        model=model or "",
        given=None if given is None else given.model,
        recipe=recipe,
        selection=config.selection,
        seed=generation_seed(config.seed, 0),
    )


def student_plan(config: RunConfig, number: int, model: str, overrides: GenerationOverrides) -> GenerationPlan:
    """Returns the plan of generation `number`. It trains `model` unless the overrides name another."""
    return GenerationPlan(
        model=overrides.student_model or model,
        recipe=overrides.recipe or config.student_recipe,
        selection=overrides.selection or config.selection,
        search=overrides.search or config.search,
        seed=generation_seed(config.seed, number) if overrides.seed is None else overrides.seed,
        unlabeled=overrides.unlabeled,
        teacher=overrides.teacher,
    )


def generation_seed(seed: int, generation: int) -> int:
    """Returns the seed of one generation. Seeds differ between a run's generations and between neighbouring `seed`s."""
    digest = hashlib.blake2b(f"{seed}/{generation}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) >> 1


def initial_models(plans: Iterable[GenerationPlan]) -> set[str]:
    """Returns the ids of the service's models with whose weights trainings of these plans begin."""
    return {plan.recipe.init.id for plan in plans if isinstance(plan.recipe.init, ModelInit)}


def predicting_models(plans: Iterable[GenerationPlan]) -> set[str]:
    """Returns the ids of the models that answer in the predictions of these plans."""
    return {plan.prediction.model for plan in plans if plan.prediction is not None}


def measured_students(plans: Sequence[GenerationPlan]) -> tuple[tuple[MeasuredStudent, ...], tuple[int, ...]]:
    """Returns the distinct students to measure, and for each generation the index of the one that it trains."""
    wanted = [
        MeasuredStudent(model=plan.model, recipe=plan.recipe, pseudo_labeled=number > 0)
        for number, plan in enumerate(plans)
    ]
    distinct = tuple(dict.fromkeys(wanted))
    return distinct, tuple(distinct.index(student) for student in wanted)
