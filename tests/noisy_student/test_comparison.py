"""Runs are compared by the settings that differ and by what came out."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from noisy_student.comparison import Comparison, Measured, compare, interval
from service.config.run import RunConfig
from service.views.runs import RunView

START = datetime(2026, 11, 29, 9, tzinfo=UTC)


def _run(name: str, top1: float | None, **settings: Any) -> RunView:
    config = RunConfig.model_validate(
        {
            "name": name,
            "datasets": {"labeled": "ds-l", "unlabeled": "ds-u", "validation": "ds-v", "test": "ds-t"},
            "teacher_model": "resnet18",
            "student_models": ["resnet18"],
            "generations": 1,
            **settings,
        },
        strict=False,
    )
    results: dict[str, Any] = {
        "label": {"mean_confidence": 0.8},
        "select": {"images_labeled": 1000, "kept": 700},
        "evaluate": {
            "metrics": {"images": 400, "top1": top1, "expected_calibration_error": 0.05},
            "pseudo_labels": {"images": 1000, "top1": 0.75},
            "robustness": {
                "corruptions": {"mean_corruption_error": 0.6},
                "stability": None,
                "adversarial": {"attacks": [{"top1": 0.4}, {"top1": 0.1}]},
            },
        },
    }
    stages = [] if top1 is None else [_stage(stage, result) for stage, result in results.items()]
    model = None if top1 is None else _model(top1)
    generation = {"number": 1, "state": "succeeded", "plan": None, "stages": stages, "model": model}
    view = {
        "id": f"run-{name}",
        "name": name,
        "state": "succeeded" if top1 is not None else "running",
        "state_reason": None,
        "generations": 2,
        "created_at": START,
        "finished_at": None if top1 is None else START + timedelta(hours=2),
        "config": config.model_dump(mode="json"),
        "generation_details": [generation],
    }
    return RunView.model_validate_json(json.dumps(view, default=str))


def _stage(name: str, result: dict[str, Any]) -> dict[str, Any]:
    parts = dict.fromkeys(("waiting", "start", "setup", "finish", "overhead", "work", "total"), 10.0)
    attempt = {
        "number": 1,
        "submission_id": f"x-{name}",
        "state": "succeeded",
        "failure_reason": None,
        "failure_message": None,
        "dashboard_url": None,
        "devices": {"kind": "gpu", "count": 4.0},
        "created_at": START,
        "submitted_at": START,
        "finished_at": START + timedelta(minutes=30),
    }
    return {
        "id": f"s-{name}",
        "run_id": "r",
        "generation": 1,
        "name": name,
        "state": "succeeded",
        "folder_uri": "/",
        "attempts": [attempt],
        "progress": None,
        "result": result,
        "times": {f"{part}_seconds": value for part, value in parts.items()},
        "ready_at": START,
        "finished_at": START,
    }


def _model(top1: float) -> dict[str, Any]:
    return {
        "id": "m",
        "run_id": "r",
        "generation": 1,
        "model": "resnet18",
        "parameters": 10,
        "uri": "/",
        "validation_top1": 0.9,
        "test_top1": top1,
        "created_at": START,
    }


def _outcomes(found: Comparison) -> dict[tuple[int | None, str], list[Any]]:
    return {
        (each.generation, each.name): [None if value is None else value.value for value in each.values]
        for each in found.outcomes
    }


def test_only_settings_that_differ_are_listed() -> None:
    found = compare([_run("a", 0.9), _run("b", 0.9, student_recipe={"steps": 2000}, student_models=["resnet34"])])
    differing = {each.field: each.values for each in found.differences}
    assert differing.keys() == {"name", "student_recipe.steps", "student_models"}
    assert differing["student_recipe.steps"][1] == 2000
    assert differing["student_models"] == [["resnet18"], ["resnet34"]]


def test_a_group_that_only_one_run_has_is_listed_by_field() -> None:
    found = compare([_run("a", 0.9), _run("a", 0.9, gate={"conditions": ["top1 >= previous"]})])
    differing = {each.field: each.values for each in found.differences}
    assert differing["gate.conditions"] == [None, ["top1 >= previous"]]
    assert all(name.startswith("gate.") for name in differing)


def test_results_stand_side_by_side_with_their_intervals() -> None:
    found = compare([_run("a", 0.9), _run("b", None), _run("c", 0.95)])
    outcomes = _outcomes(found)
    assert outcomes[1, "test_accuracy"] == [0.9, None, 0.95]
    assert outcomes[1, "calibration_error"] == [0.05, None, 0.05]
    assert outcomes[1, "pseudo_label_accuracy"] == [0.75, None, 0.75]
    assert outcomes[1, "mean_corruption_error"] == [0.6, None, 0.6]
    assert outcomes[1, "accuracy_under_worst_attack"] == [0.1, None, 0.1]
    assert outcomes[1, "images_labeled"] == [1000, None, 1000]
    assert outcomes[1, "images_selected"] == [700, None, 700]
    assert outcomes[1, "seconds"] == [30.0, None, 30.0]
    assert outcomes[1, "device_hours"] == [6.0, 0.0, 6.0]
    assert outcomes[None, "total_seconds"] == [7200.0, None, 7200.0]
    assert not any(generation == 0 or name == "mean_flip_rate" for generation, name in outcomes)
    [accuracy] = [each for each in found.outcomes if each.name == "test_accuracy"]
    first = accuracy.values[0]
    assert isinstance(first, Measured)
    assert (first.low, first.high) == interval(0.9, 400)


@pytest.mark.parametrize(
    ("share", "images", "low", "high"),
    # From the tables of Newcombe (1998), Statistics in Medicine 17, pp. 857-872, method 3 (score without correction).
    [
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (0 / 20, 20, 0.0, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(share: float, images: int, low: float, high: float) -> None:
    assert interval(share, images) == pytest.approx((low, high), abs=6e-5)
