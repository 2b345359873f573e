"""Examples of searches and ablations, as OpenAPI shows them. Tests parse each request."""

from datetime import UTC, datetime

from fastapi.openapi.models import Example

from api.examples.requests import RUN_CONFIGS
from api.schemas.problem import Answers
from service.config.run import RunConfig
from service.views.studies import AblationView, SearchView, StageTrials, StudySummary
from workers.specs.ablation import AblationLine, AblationOutcome, AblationSettings, AblationTraining
from workers.specs.search import (
    IntRange,
    SearchOutcome,
    SearchSettings,
    SearchSpace,
    Trial,
    TrialParameters,
    TrialPoint,
)

_START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_RECIPE = RunConfig.model_validate(RUN_CONFIGS["digits"]["value"], strict=False).student_recipe
_RUN_ID = "run-3f9c2a71d0"

SEARCH_REQUESTS: dict[str, Example] = {
    "the noise": {
        "summary": "RandAugment's n and m, 16 trials of a quarter of the steps",
        "value": {"run_id": _RUN_ID, "generation": 1},
    },
    "noise and size": {
        "summary": "Also a model family, evaluated under corruption, within a cost limit",
        "value": {
            "run_id": _RUN_ID,
            "generation": 1,
            "settings": {
                "space": {
                    "family": "efficientnet_b[0-4]",
                    "rand_augment_n": {"low": 1, "high": 3},
                    "rand_augment_m": {"low": 3, "high": 27, "step": 3},
                    "drop_path": {"low": 0.0, "high": 0.3},
                },
                "trials": 40,
                "steps_fraction": 0.2,
                "pool_fraction": 0.5,
                "objective": "corrupted_accuracy",
                "max_multiply_adds": 2000000000,
                "workers_per_trial": 4,
            },
        },
    },
}
ABLATION_REQUESTS: dict[str, Example] = {
    "everything": {"summary": "All variants that need no further input, three seeds", "value": {}},
    "the noise": {
        "summary": "Only the noise, and a smaller student, on half of the steps",
        "value": {
            "generation": 1,
            "settings": {
                "variants": ["no_rand_augment", "no_dropout", "no_drop_path", "no_noise", "smaller_student"],
                "smaller_student": "efficientnet_b0",
                "seeds": 5,
                "steps_fraction": 0.5,
            },
        },
    },
}
_TRIAL = Trial(
    number=0,
    state="finished",
    parameters=TrialParameters(
        model="test_resnet", rand_augment_n=2, rand_augment_m=9, dropout=0.3, drop_path=0.1, unlabeled_ratio=3.0
    ),
    curve=(
        TrialPoint(step=14, objective=0.61, validation_top1=0.61),
        TrialPoint(step=125, objective=0.94, validation_top1=0.94),
    ),
    model_parameters=470842,
    multiply_adds=21400000,
    steps=125,
    seconds=18.4,
)
TRIALS = StageTrials(trials=[_TRIAL])
SEARCH = SearchView(
    id="search-5d20c1e7a4",
    name="search beside digits",
    run_id=_RUN_ID,
    generation=1,
    state="succeeded",
    state_reason=None,
    created_at=_START,
    finished_at=_START,
    settings=SearchSettings(space=SearchSpace(rand_augment_m=IntRange(low=3, high=27, step=3)), trials=1),
    trials=[_TRIAL],
    outcome=SearchOutcome(
        trials=(_TRIAL,),
        best_trial=0,
        model="test_resnet",
        recipe=_RECIPE,
        steps_run=125,
        steps_of_full_trials=125,
        pareto_front=(0,),
        excluded_models=(),
    ),
    pictures=["/runs/search-5d20c1e7a4/generations/1/stages/search/pictures/rand_augment.svg"],
)
_TRAINING = AblationTraining(variant="full", seed=0, state="finished", top1=0.955, seconds=61.0)
ABLATION = AblationView(
    id="ablation-77b1f09c3e",
    name="ablation of digits",
    run_id=_RUN_ID,
    generation=1,
    state="succeeded",
    state_reason=None,
    created_at=_START,
    finished_at=_START,
    settings=AblationSettings(variants=("full",), seeds=1),
    trainings=[_TRAINING],
    outcome=AblationOutcome(
        on="validation",
        teacher_error=0.06,
        lines=(
            AblationLine(
                variant="full",
                model="test_resnet",
                same_as=None,
                seeds=1,
                error=0.045,
                error_deviation=None,
                error_change=0.0,
                error_change_deviation=None,
            ),
        ),
        left_out={},
        trainings=(_TRAINING,),
    ),
)
STUDY_SUMMARY = StudySummary(**SEARCH.model_dump(include=set(StudySummary.model_fields)))
PICTURE: Answers = {
    200: {
        "description": "The picture",
        "content": {
            "image/svg+xml": {
                "schema": {"type": "string"},
                "example": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 518 302"></svg>',
            }
        },
    }
}
