"""Runs one trial in a process of Ray Tune: the train stage's own loop, which reports each validation."""

import time
from collections.abc import Callable
from typing import TypedDict

from workers.artifact_io import delete_if_there, join_uri, open_filesystem
from workers.specs.model_card import MODEL_CARD_FILE, WEIGHTS_FILE
from workers.specs.stages import STAGE_SPEC, TrainSpec
from workers.specs.timm_config import TIMM_CONFIG_FILE


class TrialConfig(TypedDict):
    """What Tune hands to a trial: its number, and its TrainSpec as JSON."""

    number: int
    spec: str


def run_trial(config: TrialConfig) -> None:
    """Trains the spec in `config`, and deletes the model. Tune may stop it early, within a report."""
    spec = _train_spec(config)
    if spec.workers.num_workers == 1:
        _train_alone(spec)
    else:
        _train_in_group(spec)
    for name in (MODEL_CARD_FILE, TIMM_CONFIG_FILE, WEIGHTS_FILE):
        delete_if_there(*open_filesystem(join_uri(spec.folder_uri, name)))


def _train_alone(spec: TrainSpec) -> None:
    """Trains in this process, and reports each validation to Tune at once."""
    from ray import tune

    from workers.training.group.session import LoneSession
    from workers.training.loop import train

    train(spec, time.time(), LoneSession(spec.workers.gpus), _reports_to(tune.report))


def _train_in_group(spec: TrainSpec) -> None:
    """Trains in a worker group, whose validations reach Tune through Ray Train's controller."""
    from ray.tune.integration.ray_train import TuneReportCallback

    from workers.training.group.trainer import fit

    fit(spec, _train_on_worker, time.time(), callbacks=[TuneReportCallback()])


def _train_on_worker(spec: TrainSpec, entered_at: float) -> None:
    import ray.train

    from workers.training.loop import train

    train(spec, entered_at, on_validation=_reports_to(ray.train.report))


def _reports_to(report: Callable[[dict[str, float]], None]) -> Callable[[int, dict[str, float]], None]:
    return lambda step, values: report({"step": step, **values})


def _train_spec(config: TrialConfig) -> TrainSpec:
    spec = STAGE_SPEC.validate_json(config["spec"])
    assert isinstance(spec, TrainSpec)
    return spec
