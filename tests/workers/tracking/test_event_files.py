"""TensorBoard's own reader finds in the event files what a stage has logged, each step once."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests import at_once
from tests.support.played_stages import (
    SOON,
    break_off,
    evaluate,
    evaluate_spec,
    figures,
    log,
    search,
    search_spec,
    train,
    train_result,
    train_spec,
)
from workers.runtime.stage_reporter import Paused, StageError, Superseded
from workers.specs.reports import FailureReason
from workers.specs.stages import TrainSpec
from workers.tracking.stage_tracking import tracked


def read(folder: Path | str) -> EventAccumulator:
    """What TensorBoard makes of a folder, all of it."""
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    found.Reload()
    return found


def scalars(folder: Path | str, tag: str) -> list[tuple[int, object]]:
    return [(event.step, pytest.approx(event.value)) for event in read(folder).Scalars(tag)]


def folder_of(spec: TrainSpec) -> Path:
    return Path(spec.folder_uri) / "tensorboard"


def test_a_training_is_read_back_with_all_its_figures(tmp_path: Path) -> None:
    spec = train_spec(str(tmp_path))

    train(spec, range(5, 45, 5))

    for tag in ("loss", "images_per_second", "learning_rate"):
        assert [(s, v) for s, v in scalars(folder_of(spec), tag)] == [(s, figures(s)[tag]) for s in range(5, 45, 5)]
    assert scalars(folder_of(spec), "validation_top1") == [(10, 0.1), (20, 0.2), (30, 0.3), (40, 0.4)]
    assert scalars(folder_of(spec), "final_validation_top1") == [(1, 0.4)]


def test_a_resumed_attempt_has_each_step_once(tmp_path: Path) -> None:
    first = train_spec(str(tmp_path))
    break_off(first, [5, 10, 15, 20, 25], KeyboardInterrupt())
    second = train_spec(str(tmp_path), attempt=2)

    train(second, [15, 20, 25, 30], after_step=10)

    assert [step for step, _ in scalars(folder_of(second), "loss")] == [5, 10, 15, 20, 25, 30]


def test_a_reader_that_has_the_earlier_attempts_file_open_forgets_it(tmp_path: Path) -> None:
    first = train_spec(str(tmp_path))
    train(first, [5, 10, 15, 20, 25])
    watching = read(folder_of(first))
    second = train_spec(str(tmp_path), attempt=2)

    train(second, [15, 20], after_step=10)

    watching.Reload()
    assert [event.step for event in watching.Scalars("loss")] == [5, 10, 15, 20]


def test_a_file_grows_under_an_open_reader(tmp_path: Path) -> None:
    spec = train_spec(str(tmp_path))
    with tracked(spec, SOON) as tell:
        log(spec, [5])
        wait_for_file(folder_of(spec))
        watching = read(folder_of(spec))
        log(spec, [10, 15], after_step=5)
        tell(train_result(spec))

    watching.Reload()
    assert [event.step for event in watching.Scalars("loss")] == [5, 10, 15]
    assert len(list(folder_of(spec).iterdir())) == 1


def test_rows_that_a_lost_worker_takes_back_are_gone(tmp_path: Path) -> None:
    spec = train_spec(str(tmp_path))
    with tracked(spec, SOON) as tell:
        log(spec, [5, 10, 15])
        wait_for_file(folder_of(spec))
        log(spec, [12, 18], after_step=10)
        tell(train_result(spec))

    assert [step for step, _ in scalars(folder_of(spec), "loss")] == [5, 10, 12, 18]


def test_a_search_has_a_folder_for_each_trial_with_its_parameters(tmp_path: Path) -> None:
    spec = search_spec(str(tmp_path))

    search(spec)

    folder = Path(spec.folder_uri) / "tensorboard"
    assert [step for step, _ in scalars(folder / "0000", "loss")] == [5, 10]
    assert scalars(folder / "0001", "objective") == [(5, 0.05)]
    assert scalars(folder, "best_objective") == [(1, 0.1)]
    for number in range(2):
        content = read(folder / f"000{number}").summary_metadata[SESSION_START_INFO_TAG].plugin_data.content
        parameters = HParamsPluginData.FromString(content).session_start_info.hparams
        assert parameters["rand_augment_m"].number_value == 3 * number
        assert parameters["model"].string_value == "resnet18"


def test_an_evaluation_has_its_figures_at_its_generation_and_a_picture_of_the_confusion(tmp_path: Path) -> None:
    evaluate(evaluate_spec(str(tmp_path), generation=0), top1=0.5)
    evaluate(evaluate_spec(str(tmp_path), generation=1), top1=0.75)

    runs = tmp_path / "runs" / "run-0a1b"
    assert scalars(runs / "gen-0" / "evaluate" / "tensorboard", "top1") == [(0, 0.5)]
    folder = runs / "gen-1" / "evaluate" / "tensorboard"
    assert scalars(folder, "top1") == [(1, 0.75)]
    assert scalars(folder, "external/photos _2019_/top1") == [(1, 0.75)]
    (picture,) = read(folder).Images("confusion")
    assert (picture.width, picture.height, picture.step) == (8, 8, 1)
    assert picture.encoded_image_string.startswith(b"\x89PNG")


def test_an_evaluation_that_is_repeated_replaces_its_figures(tmp_path: Path) -> None:
    evaluate(evaluate_spec(str(tmp_path)), top1=0.5)
    evaluate(evaluate_spec(str(tmp_path), attempt=2), top1=0.75)

    assert scalars(tmp_path / "runs" / "run-0a1b" / "gen-1" / "evaluate" / "tensorboard", "top1") == [(1, 0.75)]


@pytest.mark.parametrize("error", [StageError(FailureReason.BAD_DATA, "broken"), Paused("paused")])
def test_a_stage_that_fails_or_pauses_keeps_what_it_has_logged(error: Exception, tmp_path: Path) -> None:
    spec = train_spec(str(tmp_path))

    break_off(spec, [5, 10], error)

    assert [step for step, _ in scalars(folder_of(spec), "loss")] == [5, 10]


def test_an_attempt_whose_time_is_over_writes_nothing_more(tmp_path: Path) -> None:
    spec = train_spec(str(tmp_path))
    train_spec(str(tmp_path), attempt=2)
    break_off(spec, [5, 10], Superseded("attempt 2 owns the folder"))

    assert not folder_of(spec).exists()


def test_a_place_that_cannot_be_written_never_fails_a_stage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = train_spec(str(tmp_path))
    folder_of(spec).write_text("a file where the folder should be")

    train(spec, [5, 10])

    warnings = [record.message for record in caplog.records if "TensorBoard" in record.message]
    assert len(warnings) == 1, warnings
    assert "the stage goes on without" in warnings[0]


def wait_for_file(folder: Path) -> None:
    """Waits until there is an event file in the folder."""
    at_once.wait_until(lambda: any(folder.glob("*tfevents*")), f"an event file in {folder}")
