"""`python tell_mlflow.py ROOT MLFLOW_URI PART ...` plays parts of a tracked run: in MLflow's own environment."""

import logging
import sys

from mlflow import MlflowClient

from tests.support.played_stages import (
    be_killed,
    break_off,
    evaluate,
    evaluate_spec,
    search,
    search_spec,
    train,
    train_spec,
)
from workers.runtime.stage_reporter import Paused
from workers.specs.tracking import Tracking
from workers.tracking import stage_tracking


def play(root: str, uri: str, part: str) -> None:
    """Plays a part: a stage or two, whose drivers know nothing of each other."""
    tracking = Tracking(mlflow_uri=uri, run_name="my digits", service_url="https://service.example.org")
    match part:
        case "teacher":
            train(train_spec(root, tracking=tracking, generation=0), [5, 10])
            evaluate(evaluate_spec(root, tracking, generation=0), top1=0.5)
        case "search":
            search(search_spec(root, tracking))
        case "killed":
            spec = train_spec(root, tracking=tracking)
            be_killed(spec, [5, 10, 15], lambda: _has_metrics(uri, f"{spec.run_id}-g1-train"))
        case "away":
            break_off(train_spec(root, tracking=tracking), [5, 10, 15], Paused("paused"))
        case "resume":
            train(train_spec(root, attempt=2, tracking=tracking), [15, 20], after_step=10)
            evaluate(evaluate_spec(root, tracking), top1=0.75)
        case "upload":
            train(train_spec(root, tracking=tracking.model_copy(update={"upload_weights": True})), [5])


def _has_metrics(uri: str, key: str) -> bool:
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name("noisy-student")
    ids = [] if found is None else [found.experiment_id]
    return any("loss" in run.data.metrics for run in client.search_runs(ids, f"tags.`noisy_student.key` = '{key}'"))


if __name__ == "__main__":
    if sys.argv[3:] != ["away"]:
        stage_tracking._END_SECONDS = 200.0  # a busy machine is no server that is away
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for each in sys.argv[3:]:
        play(sys.argv[1], sys.argv[2], each)
