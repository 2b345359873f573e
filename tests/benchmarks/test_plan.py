"""What the plan's benchmark reports about planned and taken seconds."""

import pytest

from benchmarks.control_plane.plan import rows


def test_the_error_is_that_of_a_runs_whole_labeling_and_of_its_whole_training() -> None:
    def stage(name: str, planned: float, taken: float) -> dict[str, object]:
        seconds = {"planned_seconds": planned, "taken_seconds": taken}
        return {"stage": name, **seconds, "planned_work_seconds": planned, "taken_work_seconds": taken}

    seed = {
        "plan_seconds": 60.0,
        "stages": [stage("train", 90, 100), stage("label", 12, 10), stage("train", 110, 100), stage("select", 9, 1)],
    }
    error, of_work, seconds = rows([seed])
    assert error["name"] == "plan.relative_error"
    assert error["runs"] == [pytest.approx(0.2), pytest.approx(0.0)]
    assert of_work["runs"] == error["runs"]
    assert seconds["value"] == 60
