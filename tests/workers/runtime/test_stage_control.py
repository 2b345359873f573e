"""Files tell a running stage to pause or stop, and the stage reports waits and progress."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayTaskError
from ray.train.v2.api.exceptions import WorkerGroupError

from tests.support.fake_clock import FakeClock
from workers import entrypoint
from workers.artifact_io import write_bytes
from workers.data.errors import ShardReadError, StoreReadError
from workers.runtime.capacity import ClusterView, Node, ResourceDemand
from workers.runtime.resource_watch import ResourceWatch
from workers.runtime.stage_reporter import Paused, StageReporter, Superseded
from workers.specs.reports import FailureReason, Progress, StageControl, StageFailure, Waiting, WaitKind
from workers.specs.selection import SelectionSettings
from workers.specs.stages import SelectSpec, control_name, metrics_name, spec_name


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def spec(tmp_path: Path) -> SelectSpec:
    spec = SelectSpec(
        run_id="run-1",
        generation=1,
        attempt=2,
        folder_uri=str(tmp_path),
        seed=0,
        manifest_uri="/none",
        labels_uri="/none",
        classes=("cat",),
        settings=SelectionSettings(),
    )
    write_bytes(str(tmp_path / spec_name(2)), spec.model_dump_json().encode())
    return spec


@pytest.fixture
def reporter(spec: SelectSpec, clock: FakeClock) -> StageReporter:
    return StageReporter(spec, entered_at=990.0, clock=clock)


def tell(spec: SelectSpec, command: Any, attempt: int = 2) -> None:
    control = StageControl(command=command)
    write_bytes(f"{spec.folder_uri}/{control_name(attempt)}", control.model_dump_json().encode())


def progress(spec: SelectSpec) -> Progress:
    return Progress.model_validate_json((Path(spec.folder_uri) / "progress.json").read_bytes())


def test_a_stage_pauses_at_its_next_unit_and_looks_once_a_second(
    spec: SelectSpec, reporter: StageReporter, clock: FakeClock
) -> None:
    reporter.announce(10, "shards")
    reporter.pause_if_asked()
    tell(spec, "pause")
    reporter.update(3)
    reporter.pause_if_asked()
    clock.now += 1
    with pytest.raises(Paused, match="paused at 3 of 10 shards"):
        reporter.pause_if_asked()


def test_what_another_attempt_was_told_does_not_count(spec: SelectSpec, reporter: StageReporter) -> None:
    tell(spec, "pause", attempt=1)

    assert not reporter.pause_requested()


def test_a_stage_that_is_over_writes_nothing_more(spec: SelectSpec, reporter: StageReporter) -> None:
    tell(spec, "stop")

    with pytest.raises(Superseded, match="is over"):
        reporter.check_still_ours()


def test_only_work_that_advances_counts_as_progress(
    spec: SelectSpec, reporter: StageReporter, clock: FakeClock
) -> None:
    reporter.announce(10, "shards")
    for _ in range(5):
        clock.now += 10
        reporter.update(1, {"loss": 0.5})
    assert (progress(spec).updated_at, progress(spec).advanced_at) == (1050.0, 1010.0)
    clock.now += 10
    reporter.update(1, {"loss": 0.4})
    assert progress(spec).advanced_at == 1060.0


def test_a_stage_that_waits_is_not_taken_for_a_hung_one(
    spec: SelectSpec, reporter: StageReporter, clock: FakeClock
) -> None:
    reporter.announce(10, "shards")
    clock.now += 600
    reporter.wait_for(Waiting(since=1000.0, reason="waiting for resources", exceeds_cluster=True))
    assert progress(spec).advanced_at == 1600.0
    assert progress(spec).waiting is not None
    reporter.update(1)
    clock.now += 31  # the watch is silent now, and the work continues
    reporter.update(2)
    assert progress(spec).waiting is None


def test_a_job_that_begins_when_its_run_is_paused_or_over_does_no_work(spec: SelectSpec) -> None:
    spec_uri = f"{spec.folder_uri}/{spec_name(2)}"
    tell(spec, "pause")
    assert entrypoint.run(spec_uri, entered_at=0.0) == 1
    failure = StageFailure.model_validate_json((Path(spec.folder_uri) / "failure.json").read_bytes())
    assert (failure.reason, failure.attempt) == (FailureReason.PAUSED, 2)

    (Path(spec.folder_uri) / "failure.json").unlink()
    tell(spec, "stop")
    assert entrypoint.run(spec_uri, entered_at=0.0) == 2
    assert not (Path(spec.folder_uri) / "failure.json").exists()


class Cluster:
    def __init__(self) -> None:
        self.node = {"CPU": 2.0}
        self.begun = False

    def view(self) -> ClusterView:
        return ClusterView((Node(self.node),))

    def has_begun(self) -> bool:
        return self.begun


def test_a_stage_says_what_it_waits_for_until_it_is_there(
    spec: SelectSpec, reporter: StageReporter, clock: FakeClock
) -> None:
    reporter.announce(10, "shards")
    cluster = Cluster()
    watch = ResourceWatch(ResourceDemand(1, 1, 1, "actor"), reporter, cluster, clock)
    watch.look()
    first = progress(spec).waiting
    assert first is not None
    assert (first.since, first.exceeds_cluster, first.kind) == (1000.0, True, WaitKind.CLUSTER_TOO_SMALL)
    clock.now += 20
    watch.look()
    assert (progress(spec).waiting, progress(spec).updated_at) == (first, 1020.0)

    cluster.node = {"CPU": 2.0, "GPU": 1.0}  # the autoscaler adds it, but another job is faster
    watch.look()
    assert progress(spec).waiting is None  # its processes may be starting there
    clock.now += 15
    watch.look()
    second = progress(spec).waiting
    assert second is not None
    assert (second.since, second.exceeds_cluster, second.kind) == (1035.0, False, WaitKind.CLUSTER_FULL)
    assert second.reason.endswith("the cluster has them, others use them")

    cluster.begun = True
    watch.look()
    assert progress(spec).waiting is None
    clock.now += 3600
    (Path(spec.folder_uri) / "progress.json").write_text(json.dumps({}))
    watch.look()  # there is nothing new to report
    assert (Path(spec.folder_uri) / "progress.json").read_text() == "{}"


def test_a_stage_that_loses_what_it_had_waits_anew(spec: SelectSpec, reporter: StageReporter, clock: FakeClock) -> None:
    cluster = Cluster()
    cluster.node, cluster.begun = {"CPU": 2.0, "GPU": 1.0}, True
    watch = ResourceWatch(ResourceDemand(1, 1, 1, "worker"), reporter, cluster, clock)
    clock.now += 20
    watch.look()
    assert reporter.waiting is None
    cluster.node, cluster.begun = {"CPU": 2.0}, False  # its node was taken away
    watch.look()
    assert progress(spec).waiting is not None
    cluster.node = {"CPU": 2.0, "GPU": 1.0}  # another has come, and another job was quicker
    watch.look()
    assert progress(spec).waiting is None
    clock.now += 15
    watch.look()
    waiting = progress(spec).waiting
    assert waiting is not None
    assert waiting.kind is WaitKind.CLUSTER_FULL


def test_the_reason_of_a_wait_stays_while_it_is_true(
    spec: SelectSpec, reporter: StageReporter, clock: FakeClock
) -> None:
    watch = ResourceWatch(ResourceDemand(1, 1, 1, "actor"), reporter, Cluster(), clock)
    watch.look()
    told = progress(spec).waiting
    assert told is not None
    reporter.announce(10, "shards")  # what a stage does before its work takes nothing back
    assert progress(spec).waiting == told
    clock.now += 1
    reporter.update(0, {"loss": 1.0})
    assert progress(spec).waiting == told
    for done in (4, 5):  # an earlier attempt's share, and what the driver does itself: it looks like work
        clock.now += 1
        reporter.update(done)
        assert progress(spec).waiting == told
    watch.look()
    assert progress(spec).waiting == told
    clock.now += 1
    reporter.update(5)
    assert progress(spec).waiting == told


def test_a_driver_at_work_of_its_own_does_not_wait_for_what_others_use(
    spec: SelectSpec, reporter: StageReporter, clock: FakeClock
) -> None:
    watch = ResourceWatch(ResourceDemand(1, 1, 0, "worker"), reporter, Cluster(), clock)
    for _ in range(60):
        clock.now += 1
        reporter.still_alive()
        watch.look()
        assert progress(spec).waiting is None
    clock.now += 11
    watch.look()
    waiting = progress(spec).waiting
    assert waiting is not None
    assert waiting.reason.endswith("others use them")


class RayActorError(Exception):
    """Has the name of ray.exceptions.RayActorError."""

    preempted = True


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RayActorError("gone"), FailureReason.PREEMPTED),
        (RuntimeError("The actor died because its node has died. Node Id: 1"), FailureReason.NODE_LOST),
        (MemoryError(), FailureReason.OUT_OF_MEMORY),
        (RuntimeError("boom"), FailureReason.STAGE_ERROR),
    ],
)
def test_rays_word_on_why_an_actor_died_is_the_reason(error: Exception, reason: FailureReason) -> None:
    wrapped = RuntimeError("Ray Data failed")
    wrapped.__cause__ = error

    assert entrypoint.reason_of(wrapped) is reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ShardReadError("s3://pictures/7.tar", "there is no such file"), FailureReason.BAD_DATA),
        (StoreReadError("s3://pictures/7.tar", "the storage does not give it"), FailureReason.ARTIFACT_STORE),
    ],
)
def test_a_shard_that_a_training_worker_cannot_read_is_named_through_all_that_ray_wraps_it_in(
    error: ShardReadError, reason: FailureReason
) -> None:
    of_the_group = WorkerGroupError("Traceback of rank 1", {1: error})
    of_the_trainer = RayTaskError("fit", "Traceback of the actor", of_the_group, "fit", 1, "10.0.0.1")
    raised = pickle.loads(pickle.dumps(of_the_trainer)).as_instanceof_cause()

    assert entrypoint.reason_of(raised) is reason
    assert entrypoint.message_of(raised) == str(error)


def test_a_shard_is_named_where_the_file_system_only_names_an_error() -> None:
    error = ShardReadError("/pictures/7.parquet", "not a readable Parquet file")
    error.__cause__ = OSError("Corrupt snappy compressed data")

    assert entrypoint.message_of(error) == "/pictures/7.parquet: not a readable Parquet file"


def test_progress_says_how_many_gpus_the_attempt_has_for_each_process(
    spec: SelectSpec, reporter: StageReporter
) -> None:
    reporter.announce(10, "shards")
    assert progress(spec).gpus_each is None
    reporter.gpus_each = 1.0
    reporter.update(10)
    assert progress(spec).gpus_each == 1.0


def test_workers_that_replace_lost_ones_keep_the_rows_up_to_the_step_they_continue_from(
    spec: SelectSpec, clock: FakeClock, reporter: StageReporter
) -> None:
    for step in (10, 20, 30):
        reporter.log_row(step, {"loss": 1.0})

    replaced = StageReporter(spec, entered_at=990.0, clock=clock)
    replaced.keep_rows(20)
    replaced.log_row(30, {"loss": 0.5})

    rows = [json.loads(line) for line in (Path(spec.folder_uri) / metrics_name(2)).read_text().splitlines()]
    assert [(row["step"], row["values"]["loss"]) for row in rows] == [(10, 1.0), (20, 1.0), (30, 0.5)]
