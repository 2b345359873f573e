"""One trial, in a process of Tune's: the train stage's own loop, which reports each look at the validation set."""

from typing import Any

from workers.artifact_io import delete_if_there, join_uri, open_filesystem
from workers.specs.stages import MODEL_CARD_FILE, STAGE_SPEC, WEIGHTS_FILE, TrainSpec


def run_trial(config: dict[str, Any]) -> None:
    """Trains the spec in `config`; its model is not kept. Stops early where Tune says so, in the midst of a report."""
    import time

    from workers.training.trainer import fit, fit_here

    spec = STAGE_SPEC.validate_json(config["spec"])
    assert isinstance(spec, TrainSpec)
    if spec.workers.num_workers == 1:
        fit_here(config["spec"], train_alone, time.time())
    else:
        from ray.tune.integration.ray_train import TuneReportCallback

        fit(config["spec"], train_in_group, time.time(), callbacks=[TuneReportCallback()])
    _forget_model(spec.folder_uri)


def train_alone(config: dict[str, Any]) -> None:
    """The loop in this process; Tune hears of each validation at once."""
    from ray import tune

    _train(config, tune.report)


def train_in_group(config: dict[str, Any]) -> None:
    """The loop in one worker of several; Tune hears of each validation through Ray Train's controller."""
    import ray.train

    _train(config, ray.train.report)


def _train(config: dict[str, Any], report: Any) -> None:
    from workers.training.loop import train

    spec = STAGE_SPEC.validate_json(config["spec"])
    assert isinstance(spec, TrainSpec)
    train(spec, config["entered_at"], lambda step, values: report({"step": step, **values}))


def _forget_model(folder_uri: str) -> None:
    for name in (MODEL_CARD_FILE, WEIGHTS_FILE):
        delete_if_there(*open_filesystem(join_uri(folder_uri, name)))
