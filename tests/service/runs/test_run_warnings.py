"""What a run is warned of: nothing is refused, and each warning begins with its field."""

import json

from service.config.run import RunConfig
from service.runs.run_warnings import run_warnings


def warnings_of(selection: dict[str, object], **changes: object) -> list[str]:
    config = {
        "name": "r",
        "datasets": {"labeled": "a", "unlabeled": "b", "validation": "c", "test": "d"},
        "teacher_model": "test_resnet",
        "student_models": ["test_resnet"],
        "teacher_recipe": {"steps": 10, "unlabeled_ratio": 0, "schedule": {"warmup_steps": 0}},
        "student_recipe": {"steps": 10, "schedule": {"warmup_steps": 0}},
        "selection": selection,
        **changes,
    }
    return run_warnings(RunConfig.model_validate_json(json.dumps(config)))


def test_flexmatch_with_a_threshold_that_every_image_passes_is_warned_of() -> None:
    found = warnings_of({"thresholds": "flexmatch"})
    assert [each.partition(":")[0] for each in found] == ["selection.min_confidence"]
    assert "0.3" in found[0]
    assert warnings_of({"thresholds": "flexmatch", "min_confidence": 0.95}) == []
    assert warnings_of({"thresholds": "freematch"}) == []


def test_a_single_generation_with_such_a_threshold_is_named() -> None:
    overrides = {"2": {"selection": {"thresholds": "flexmatch"}}}
    found = warnings_of({}, generations=2, generation_overrides=overrides)
    assert [each.partition(":")[0] for each in found] == ["generation_overrides.2.selection.min_confidence"]
