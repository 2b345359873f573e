"""The API accepts the studies' bodies, and the studies compute their figures correctly."""

import json

from api.examples.studies import ABLATION
from benchmarks.method import studies
from service.config.run import RunConfig
from service.config.studies import AblationRequest, SearchRequest
from workers.specs.ablation import AblationTraining, Variant


def test_the_bodies_are_valid() -> None:
    datasets = {"labeled": "a", "unlabeled": "b", "validation": "c", "test": "d"}
    RunConfig.model_validate_json(json.dumps(studies.run_config(datasets, seed=3)))
    SearchRequest.model_validate_json(json.dumps({"run_id": "r", "generation": 1, "settings": studies._SEARCH}))
    AblationRequest.model_validate_json(json.dumps(studies._generation(studies._ABLATION)))


def test_a_variants_changes_are_of_equal_seeds() -> None:
    measured: list[tuple[Variant, int, float]] = [
        ("full", 0, 0.9), ("full", 1, 0.8), ("no_noise", 1, 0.7), ("no_noise", 0, 0.95),
    ]  # fmt: skip
    trainings = [
        AblationTraining(variant=variant, seed=seed, state="finished", top1=accuracy)
        for variant, seed, accuracy in measured
    ]
    view = ABLATION.model_copy(update={"trainings": trainings})
    line = view.outcome.lines[0].model_copy(update={"variant": "no_noise"})
    assert [round(change, 6) for change in studies._changes(view, line)] == [-0.05, 0.1]
