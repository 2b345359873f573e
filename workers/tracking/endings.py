"""How a stage or a trial ended, and the figures that its result has. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from workers.artifact_io import join_uri
from workers.specs.initialization import INITIAL_FOLDER, REPORT_FILE
from workers.specs.model_card import MODEL_CARD_FILE, WEIGHTS_FILE
from workers.specs.results import Confusion, EvaluateResult, Metrics, SearchResult, StageResult, TrainResult
from workers.specs.robustness import RobustnessResult
from workers.specs.search import Trial
from workers.tracking.subjects import TrackedSpec

EndState = Literal["finished", "failed", "paused"]
_NOT_IN_A_NAME = re.compile(r"[^\w\-. /]")


@dataclass(frozen=True)
class Ending:
    """The end of a stage or a trial."""

    state: EndState
    step: int = 0
    """What the values belong to: a stage's generation, or how far a trial came."""
    values: Mapping[str, float] = field(default_factory=dict)
    confusion: Confusion | None = None
    small_files: Mapping[str, str] = field(default_factory=dict)
    """URIs of a few kilobytes each, by name. Not all of them need be there."""
    weights_uri: str | None = None


def ending_of_stage(spec: TrackedSpec, result: StageResult) -> Ending:
    """The end of a stage that has a result."""
    match result:
        case TrainResult():
            return Ending(
                "finished",
                spec.generation,
                _trained(result),
                small_files={
                    MODEL_CARD_FILE: join_uri(result.model_uri, MODEL_CARD_FILE),
                    "initial_weights.json": join_uri(result.model_uri, INITIAL_FOLDER, REPORT_FILE),
                },
                weights_uri=join_uri(result.model_uri, WEIGHTS_FILE),
            )
        case SearchResult():
            return Ending("finished", spec.generation, _searched(result))
        case EvaluateResult():
            return Ending("finished", spec.generation, _evaluated(result), confusion=result.metrics.confusion)
        case _:
            return Ending("finished", spec.generation)


def ending_of_trial(trial: Trial) -> Ending:
    """The end of a trial that runs no more. One that was stopped early is as finished as one that came to its end."""
    values = {} if trial.objective is None else {"objective": trial.objective, "seconds": trial.seconds}
    return Ending("failed" if trial.state == "failed" else "finished", trial.steps, values)


def _trained(result: TrainResult) -> dict[str, float]:
    return {
        "final_loss": result.final_loss,
        "final_validation_top1": result.validation_top1,
        "images_seen": float(result.images_seen),
        "parameters": float(result.parameters),
    }


def _searched(result: SearchResult) -> dict[str, float]:
    outcome = result.outcome
    best = next(trial for trial in outcome.trials if trial.number == outcome.best_trial)
    return {
        "best_objective": best.objective or 0.0,
        "best_trial": float(best.number),
        "trials": float(len(outcome.trials)),
        "steps_run": float(outcome.steps_run),
    }


def _evaluated(result: EvaluateResult) -> dict[str, float]:
    found = {**_accuracies("", result.metrics), **_robust("", result.robustness)}
    if result.pseudo_labels is not None:
        found |= _accuracies("pseudo_labels/", result.pseudo_labels)
    if result.validation is not None:
        found |= _accuracies("validation/", result.validation.metrics)
        found |= _robust("validation/", result.validation.robustness)
    for name, metrics in result.external.items():
        found |= _accuracies(f"external/{_NOT_IN_A_NAME.sub('_', name)}/", metrics)
    return found


def _accuracies(prefix: str, metrics: Metrics) -> dict[str, float]:
    return {
        f"{prefix}top1": metrics.top1,
        f"{prefix}top5": metrics.top5,
        f"{prefix}expected_calibration_error": metrics.expected_calibration_error,
        f"{prefix}images": float(metrics.images),
    }


def _robust(prefix: str, robustness: RobustnessResult | None) -> dict[str, float]:
    found: dict[str, float] = {}
    if robustness is None:
        return found
    if robustness.corruptions is not None:
        found[f"{prefix}mean_corruption_error"] = robustness.corruptions.mean_corruption_error
    if robustness.stability is not None:
        found[f"{prefix}mean_flip_rate"] = robustness.stability.mean_flip_rate
    if robustness.adversarial is not None:
        for attack in robustness.adversarial.attacks:
            found[f"{prefix}{attack.attack}/top1_at_{attack.epsilon:g}"] = attack.top1
    return found
