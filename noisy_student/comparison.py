"""Compares runs: the settings in which they differ, and what came out, side by side. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import sqrt
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.views.runs import GenerationView, RunView, StageView

_QUANTILE = 1.959964
"""Of the normal distribution, for an interval of 95 %."""
_SECONDS_AN_HOUR = 3600.0


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class ComparedRun(_Value):
    """One of the runs, which heads a column."""

    id: str
    name: str
    state: str


class Difference(_Value):
    """A field of the configuration whose value is not the same in all runs."""

    field: str = Field(description="Dotted path, as in `--set`.")
    values: list[Any] = Field(description="One per run; null where the field is null or absent.")


class Measured(_Value):
    """A result. `low` and `high` bound it with 95 % confidence, if it is a share of images."""

    value: float | int | str
    low: float | None = None
    high: float | None = None


class Outcome(_Value):
    """One kind of result of all runs, of a generation or of the whole run."""

    generation: int | None
    name: str
    values: list[Measured | None] = Field(description="One per run; null where the run has no such result.")


class Comparison(_Value):
    """What differs between runs, and what came out."""

    runs: list[ComparedRun]
    differences: list[Difference]
    outcomes: list[Outcome]


def compare(runs: Sequence[RunView]) -> Comparison:
    """Compares the runs in their order."""
    return Comparison(
        runs=[ComparedRun(id=run.id, name=run.name, state=run.state) for run in runs],
        differences=list(_differences([_settings(run) for run in runs])),
        outcomes=list(_outcomes(runs)),
    )


def interval(share: float, images: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share of that many images (Wilson 1927, eq. 5)."""
    square = _QUANTILE**2
    middle = (share + square / (2 * images)) / (1 + square / images)
    half = _QUANTILE * sqrt(share * (1 - share) / images + square / (4 * images**2)) / (1 + square / images)
    return max(0.0, middle - half), min(1.0, middle + half)


def device_hours(stage: StageView) -> float:
    """What the stage's ended attempts are charged for: devices times the hours since their submission."""
    return sum(
        each.devices.count * (each.finished_at - each.submitted_at).total_seconds() / _SECONDS_AN_HOUR
        for each in stage.attempts
        if each.devices is not None and each.submitted_at is not None and each.finished_at is not None
    )


def _settings(run: RunView) -> dict[str, Any]:
    return {} if run.config is None else dict(_leaves("", run.config.model_dump(mode="json")))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Each setting that is not null, with its dotted path. A list is one setting."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, inner)
    elif value is not None:
        yield path, value


def _differences(settings: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    for field in dict.fromkeys(name for each in settings for name in each):
        values = [each.get(field) for each in settings]
        if any(value != values[0] for value in values):
            yield Difference(field=field, values=values)


def _outcomes(runs: Sequence[RunView]) -> Iterator[Outcome]:
    generations = 1 + max((each.number for run in runs for each in run.generation_details), default=-1)
    for number in range(generations):
        found = [
            _measured(next((each for each in run.generation_details if each.number == number), None)) for run in runs
        ]
        yield from _side_by_side(number, found)
    yield from _side_by_side(None, [_of_whole(run) for run in runs])


def _generation(run: RunView, number: int) -> GenerationView | None:
    return next((each for each in run.generation_details if each.number == number), None)


def _side_by_side(generation: int | None, found: Sequence[Mapping[str, Measured]]) -> Iterator[Outcome]:
    for name in (*_OF_GENERATION, *_OF_RUN):
        values = [each.get(name) for each in found]
        if any(value is not None for value in values):
            yield Outcome(generation=generation, name=name, values=values)


def _measured(generation: GenerationView | None) -> dict[str, Measured]:
    if generation is None:
        return {}
    results: _Results = {stage.name: stage.result or {} for stage in generation.stages}
    found = {name: look(generation, results) for name, look in _OF_GENERATION.items()}
    return {name: value for name, value in found.items() if value is not None}


def _of_whole(run: RunView) -> dict[str, Measured]:
    stages = [stage for generation in run.generation_details for stage in generation.stages]
    found = {
        "generations": Measured(value=run.generations),
        "total_device_hours": Measured(value=sum(map(device_hours, stages))),
    }
    if run.finished_at is not None:
        found["total_seconds"] = Measured(value=(run.finished_at - run.created_at).total_seconds())
    return found


_OF_RUN = ("generations", "total_seconds", "total_device_hours")
_Results = Mapping[str, Mapping[str, Any]]
_Look = Callable[[GenerationView, _Results], Measured | None]


def _share(metrics: Mapping[str, Any] | None) -> Measured | None:
    if not metrics or not metrics.get("images"):
        return None
    low, high = interval(metrics["top1"], metrics["images"])
    return Measured(value=metrics["top1"], low=low, high=high)


def _plain(value: Any) -> Measured | None:
    return None if value is None else Measured(value=value)


def _at(stage: str, *path: str) -> _Look:
    """Looks up a value in a stage's result."""

    def look(_: GenerationView, results: _Results) -> Measured | None:
        value: Any = results.get(stage)
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return _plain(value)

    return look


def _worst_attack(_: GenerationView, results: _Results) -> Measured | None:
    adversarial = ((results.get("evaluate") or {}).get("robustness") or {}).get("adversarial") or {}
    return _plain(min((attack["top1"] for attack in adversarial.get("attacks", ())), default=None))


def _seconds(generation: GenerationView, _: _Results) -> Measured | None:
    took = [stage.times.total_seconds for stage in generation.stages if stage.times]
    return _plain(sum(took) if took else None)


def _device_hours(generation: GenerationView, _: _Results) -> Measured | None:
    return _plain(sum(map(device_hours, generation.stages)))


_OF_GENERATION: Mapping[str, _Look] = {
    "model": lambda generation, _: _plain(generation.model.model if generation.model else None),
    "test_accuracy": lambda _, results: _share((results.get("evaluate") or {}).get("metrics")),
    "validation_accuracy": lambda generation, _: _plain(generation.model.validation_top1 if generation.model else None),
    "calibration_error": _at("evaluate", "metrics", "expected_calibration_error"),
    "mean_corruption_error": _at("evaluate", "robustness", "corruptions", "mean_corruption_error"),
    "mean_flip_rate": _at("evaluate", "robustness", "stability", "mean_flip_rate"),
    "accuracy_under_worst_attack": _worst_attack,
    "pseudo_label_accuracy": lambda _, results: _share((results.get("evaluate") or {}).get("pseudo_labels")),
    "mean_confidence": _at("label", "mean_confidence"),
    "images_labeled": _at("select", "images_labeled"),
    "images_selected": _at("select", "kept"),
    "seconds": _seconds,
    "device_hours": _device_hours,
}
