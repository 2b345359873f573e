"""What stages tell trackers reaches a bucket: event files, and the folders of offline runs."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.object_store.conftest import Address
from tests.support.played_stages import break_off, train, train_spec
from tests.support.wandb_files import offline_runs
from workers.artifact_io import join_uri, read_bytes, walk_files
from workers.runtime.stage_reporter import Paused
from workers.specs.tracking import Tracking


def downloaded(folder_uri: str, folder: Path) -> Path:
    for name in walk_files(folder_uri):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(read_bytes(join_uri(folder_uri, *name.split("/"))))
    return folder


def test_a_training_in_a_bucket_that_goes_on_has_each_step_once(bucket: Address, tmp_path: Path) -> None:
    root = bucket("artifacts")
    offline = Tracking(wandb_mode="offline")
    break_off(train_spec(root, tracking=offline), [5, 10, 15], Paused("paused"))
    spec = train_spec(root, attempt=2, tracking=offline)

    train(spec, [15, 20], after_step=10)

    folder = downloaded(spec.folder_uri, tmp_path / "train")
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [5, 10, 15, 20]
    runs = offline_runs(folder)
    assert sorted([row["_step"] for row in run.history] for run in runs) == [[5, 10, 15], [20]]
    assert sorted(run.exit_code for run in runs if run.exit_code is not None) == [0, 1]
