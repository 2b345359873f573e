"""The pure parts of the one-line run: durations, the fit into a budget, steps, YAML with reasons, and the gain."""

import pytest
import yaml

from noisy_student.cli.one_line.budget import DoesNotFit, Fit, fit
from noisy_student.cli.one_line.choice import ChosenRun, with_steps
from noisy_student.cli.one_line.gain import Measured
from noisy_student.cli.one_line.written import as_commented_yaml
from noisy_student.cli.times import seconds_of
from service.config.presets import PRESET_NAMES, preset, with_overrides
from service.views.estimates import StageBill
from workers.specs.recipe import Recipe


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("1.5d", 129_600), ("5 min", 300)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "soon", "2h soon", "-1h", "0m", "1h-30m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no "):
        seconds_of(text)


def _stage(generation: int, stage: str, work: float, overhead: float) -> StageBill:
    return StageBill.model_validate(
        {
            "generation": generation,
            "stage": stage,
            "images": 100,
            "processes": 1,
            "devices": 1.0,
            "images_per_second_per_device": 1.0,
            "work_seconds": work,
            "overhead_seconds": overhead,
            "wall_seconds": work + overhead,
            "device_hours": 1.0,
            "bytes_read": 0,
            "bytes_written": 0,
            "bytes_kept": 0,
            "cost": None,
        }
    )


BILL = [_stage(0, "train", 100, 10)] + [
    stage for number in (1, 2, 3) for stage in (_stage(number, "label", 20, 10), _stage(number, "train", 200, 10))
]
"""220 s of work and 130 s of what no step changes for one student; 700 and 130 s for three."""


@pytest.mark.parametrize(
    ("budget", "generations", "share"),
    [
        (1000, 3, 1.0),  # 830 s
        (800, 3, (720 - 130) / 700),
        (500, 2, (450 - 90) / 500),
        (250, 1, (225 - 50) / 300),
        (110, 1, (99 - 50) / 300),
    ],
)
def test_generations_are_given_up_before_half_of_the_steps(budget: float, generations: int, share: float) -> None:
    found = fit(BILL, 3, budget)
    assert isinstance(found, Fit)
    assert (found.generations, found.share) == (generations, pytest.approx(share))
    assert found.seconds <= 0.9 * budget


def test_the_smallest_budget_that_does_is_named_and_does() -> None:
    found = fit(BILL, 3, 50)
    assert isinstance(found, DoesNotFit)
    assert isinstance(fit(BILL, 3, found.least_seconds + 1e-6), Fit)
    assert isinstance(fit(BILL, 3, found.least_seconds - 1), DoesNotFit)


def test_a_teacher_alone_is_fitted_too() -> None:
    found = fit(BILL[:1], 0, 100)
    assert isinstance(found, Fit)
    assert (found.generations, found.share) == (0, pytest.approx(0.8))


@pytest.mark.parametrize("name", PRESET_NAMES)
@pytest.mark.parametrize("share", [0.001, 0.3, 3])
def test_other_steps_fit_every_preset(name: str, share: float) -> None:
    for recipe in (preset(name, 50_000).teacher_recipe, preset(name, 50_000).student_recipe):  # type: ignore[arg-type]
        steps = max(1, round(recipe.steps * share))
        found = with_overrides(recipe, Recipe.model_validate(with_steps(recipe, steps)))
        assert found.steps == steps
        assert found.warmup_steps < steps
        assert found.schedule.kind == recipe.schedule.kind
        assert found.checkpoint_every_steps <= steps
    assert with_steps(recipe, recipe.steps) == {}


def test_reasons_are_comments_and_the_document_reads_back() -> None:
    body = {"name": "a: b # c", "preset": "small-pictures", "datasets": {"labeled": "ds-1"}, "seed": 0}
    text = as_commented_yaml(ChosenRun(body, {"preset": ("because\x1b[31m it is", "long " * 40)}), ["not started"])
    assert text.startswith("# not started\n")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 102
    assert yaml.safe_load(text) == body


def test_the_interval_is_wilsons() -> None:
    # (p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n) for 45 of 50 and 10 of 10, with z = 1.96
    low, high = Measured(0, 0.9, 50).interval
    assert (low, high) == (pytest.approx(0.7864, abs=1e-4), pytest.approx(0.9565, abs=1e-4))
    low, high = Measured(0, 1.0, 10).interval
    assert (low, high) == (pytest.approx(0.7225, abs=1e-4), pytest.approx(1.0))
