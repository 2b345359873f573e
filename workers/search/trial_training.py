"""One trial, in a process of Tune's: the train stage's own loop, which reports each look at the validation set."""

import time
from collections.abc import Callable
from typing import Any

from workers.artifact_io import delete_if_there, join_uri, open_filesystem
from workers.specs.model_card import MODEL_CARD_FILE, WEIGHTS_FILE
from workers.specs.stages import STAGE_SPEC, TrainSpec


def run_trial(config: dict[str, Any]) -> None:
    """Trains the spec in `config`; its model is not kept. Stops early where Tune says so, in the midst of a report."""
    spec = _train_spec(config)
    if spec.workers.num_workers == 1:
        _train_alone(spec)
    else:
        _train_in_group(spec)
    for name in (MODEL_CARD_FILE, WEIGHTS_FILE):
        delete_if_there(*open_filesystem(join_uri(spec.folder_uri, name)))


def _train_alone(spec: TrainSpec) -> None:
    """The loop in this process; Tune hears of each validation at once."""
    from ray import tune

    from workers.training.group.session import LoneSession
    from workers.training.loop import train

    train(spec, time.time(), LoneSession(spec.workers.gpus_per_worker), _reports_to(tune.report))


def _train_in_group(spec: TrainSpec) -> None:
    """The loop in a worker group; Tune hears of each validation through Ray Train's controller."""
    from ray.tune.integration.ray_train import TuneReportCallback

    from workers.training.group.trainer import fit

    fit(spec.model_dump_json(), _train_on_worker, time.time(), callbacks=[TuneReportCallback()])


def _train_on_worker(config: dict[str, Any]) -> None:
    import ray.train

    from workers.training.loop import train

    train(_train_spec(config), config["entered_at"], on_validation=_reports_to(ray.train.report))


def _reports_to(report: Callable[[dict[str, Any]], None]) -> Callable[[int, dict[str, float]], None]:
    return lambda step, values: report({"step": step, **values})


def _train_spec(config: dict[str, Any]) -> TrainSpec:
    spec = STAGE_SPEC.validate_json(config["spec"])
    assert isinstance(spec, TrainSpec)
    return spec
