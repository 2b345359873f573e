"""Weights & Biases' own offline folders have each stage and trial, in the group of their run, and each step once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from tests.support.played_stages import (
    RUN,
    break_off,
    evaluate,
    evaluate_spec,
    search,
    search_spec,
    train,
    train_spec,
)
from tests.support.wandb_files import OfflineRun, offline_runs
from workers.runtime.stage_reporter import Paused, StageError
from workers.specs.reports import FailureReason
from workers.specs.tracking import Tracking
from workers.tracking import wandb_runs

REPOSITORY = Path(__file__).parents[3]
OFFLINE = Tracking(
    wandb_mode="offline", wandb_project="digits", run_name="my digits", service_url="https://service.example.org/"
)


@pytest.fixture(scope="module")
def generation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a generation: a search, a training that was paused and went on, an evaluation that failed first."""
    root = tmp_path_factory.mktemp("root")
    search(search_spec(str(root), OFFLINE))
    break_off(train_spec(str(root), tracking=OFFLINE), [5, 10, 15], Paused("paused"))
    train(train_spec(str(root), attempt=2, tracking=OFFLINE), [15, 20], after_step=10)
    evaluate(evaluate_spec(str(root), OFFLINE))
    yield root / "runs" / RUN / "gen-1"
    wandb.teardown()


def steps(run: OfflineRun) -> list[int]:
    return [row["_step"] for row in run.history]


def test_a_training_that_goes_on_is_the_same_run_and_logs_each_step_once(generation: Path) -> None:
    paused, resumed = offline_runs(generation / "train")

    assert paused.record.run_id == resumed.record.run_id == f"{RUN}-g1-train"
    assert (steps(paused), steps(resumed)) == ([5, 10, 15], [20])
    assert [row["loss"] for row in paused.history] == [1 / 5, 1 / 10, 1 / 15]
    assert resumed.history[0]["validation_top1"] == 0.2
    assert (paused.exit_code, resumed.exit_code) == (1, 0)
    assert resumed.summary["final_validation_top1"] == 0.4


def test_the_runs_of_a_service_run_are_a_group_with_stages_as_job_types(generation: Path) -> None:
    found = [run for stage in ("search", "train", "evaluate") for run in offline_runs(generation / stage)]

    assert {run.record.run_group for run in found} == {RUN}
    assert {run.record.project for run in found} == {"digits"}
    assert {run.record.job_type for run in found} == {"search", "trial", "train", "evaluate"}
    assert {tag for run in found for tag in run.record.tags} == {"generation-1"}


def test_its_config_is_the_recipe_and_the_links(generation: Path) -> None:
    config = offline_runs(generation / "train")[-1].config

    assert (config["model"], config["steps"], config["noise.dropout"]) == ("resnet18", 40, 0.5)
    assert config["noisy_student"] == {
        "run": RUN,
        "generation": "1",
        "stage": "train",
        "attempt": "2",
        "folder": str(generation / "train"),
        "model": f"{RUN}-g1",
        "model_folder": str(generation / "train"),
        "teacher": f"{RUN}-g0",
        "page": f"https://service.example.org/ui/runs/{RUN}",
        "download": f"https://service.example.org/models/{RUN}-g1/download",
    }


def test_each_trial_of_a_search_is_a_run_with_its_parameters(generation: Path) -> None:
    runs = {run.record.run_id: run for run in offline_runs(generation / "search")}

    assert sorted(runs) == [f"{RUN}-g1-search", f"{RUN}-g1-search-t0000", f"{RUN}-g1-search-t0001"]
    assert [runs[f"{RUN}-g1-search-t000{n}"].config["rand_augment_m"] for n in range(2)] == [0, 3]
    assert [steps(runs[f"{RUN}-g1-search-t000{n}"]) for n in range(2)] == [[5, 10], [5]]
    assert runs[f"{RUN}-g1-search"].summary["best_objective"] == 0.1


def test_small_files_are_there_and_the_weights_are_not(generation: Path) -> None:
    [card] = (generation / "train" / "wandb").glob("offline-run-*/files/model.json")

    assert (card.parent / "initial_weights.json").read_bytes() == b'{"taken": []}'
    assert not list((generation / "train" / "wandb").glob("**/*.safetensors"))


def test_an_evaluation_has_its_figures_in_the_summary(generation: Path) -> None:
    (run,) = offline_runs(generation / "evaluate")
    assert (run.summary["top1"], run.exit_code) == (0.75, 0)


def test_a_failed_training_exits_with_an_error(tmp_path: Path) -> None:
    spec = train_spec(str(tmp_path), tracking=OFFLINE)
    break_off(spec, [5], StageError(FailureReason.BAD_DATA, "broken"))

    (run,) = offline_runs(Path(spec.folder_uri))
    assert (steps(run), run.exit_code) == ([5], 1)


KILLED = """
import sys
from pathlib import Path
from tests.support.played_stages import be_killed, train_spec
from workers.specs.tracking import Tracking
spec = train_spec(sys.argv[1], tracking=Tracking(wandb_mode="offline"))
be_killed(spec, [5, 10, 15], lambda: any((Path(spec.folder_uri) / "wandb").glob("offline-run-*/*.wandb")))
"""


def test_an_attempt_after_a_killed_driver_takes_the_place_of_what_that_one_has_left(tmp_path: Path) -> None:
    # A driver has a service process of the library of its own, and not the one that other tests have left to this one.
    own = {name: value for name, value in os.environ.items() if name != wandb.env.SERVICE}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=REPOSITORY, env=own, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    spec = train_spec(str(tmp_path), attempt=2, tracking=OFFLINE)

    train(spec, [15, 20], after_step=10)

    assert [steps(run) for run in offline_runs(Path(spec.folder_uri))] == [[5, 10, 15, 20]]


def test_an_end_that_is_told_twice_counts_once(tmp_path: Path) -> None:
    train(train_spec(str(tmp_path), tracking=OFFLINE), [5])
    again = train_spec(str(tmp_path), attempt=2, tracking=OFFLINE)

    train(again, [])

    assert [steps(run) for run in offline_runs(Path(again.folder_uri))] == [[5]]


def test_a_server_that_is_away_costs_a_training_seconds_and_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(wandb_runs, "_INIT_SECONDS", 2.0)
    started = time.monotonic()

    train(train_spec(str(tmp_path), tracking=Tracking(wandb_mode="online")), [5, 10])

    assert time.monotonic() - started < 60
    warnings = [record.message for record in caplog.records if "Weights & Biases" in record.message]
    assert warnings, "it says nothing"
    assert not any("0" * 40 in record.getMessage() for record in caplog.records)
