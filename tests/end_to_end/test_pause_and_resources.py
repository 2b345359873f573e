"""On a real Ray, a training pauses and continues, and a stage asks for more than the cluster has."""

import httpx
import pytest

from noisy_student.client import Client
from noisy_student.local.stack import LocalStack
from service.views.runs import RunView
from tests.end_to_end.conftest import SmallRun, has_ended, is_at, result_of, stages_of, wait_until

pytestmark = pytest.mark.long


def test_a_paused_training_leaves_the_cluster_and_goes_on_from_where_it_was(
    stack: LocalStack, client: Client, small_run: SmallRun
) -> None:
    config = small_run(teacher_steps=300, train_workers=2, generations=0, student_models=[])
    config["teacher_recipe"]["checkpoint_every_steps"] = 1000  # the pause writes its own checkpoint
    run: RunView = client.runs.create(config)
    wait_until(client, run.id, is_at("g0-train", done=40))
    client.runs.pause(run.id)
    run = wait_until(client, run.id, lambda seen: seen.state == "paused")
    [attempt] = stages_of(run)[0].attempts
    assert (attempt.state, attempt.failure_reason) == ("paused", "paused")
    job = httpx.get(f"{stack.dashboard_url}/api/jobs/{attempt.submission_id}", headers=stack.ray.headers)
    assert job.status_code == 404 or job.json()["status"] in ("FAILED", "STOPPED")

    client.runs.resume(run.id)
    run = wait_until(client, run.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    train = stages_of(run)[0]
    assert [each.state for each in train.attempts] == ["paused", "succeeded"]
    assert result_of(train)["resumed_from_step"] >= 40
    assert result_of(train)["steps"] == 300


def test_a_stage_that_can_never_be_scheduled_says_so_and_ends_at_its_deadline(
    client: Client, small_run: SmallRun
) -> None:
    config = small_run(generations=0, student_models=[], fault_tolerance={"schedule_timeout_seconds": 6})
    config["resources"] = {"train": {"num_workers": 2, "gpus_per_worker": 1}}
    run: RunView = client.runs.create(config)

    def says_so(seen: RunView) -> bool:
        progress = stages_of(seen)[0].progress
        return progress is not None and progress.waiting is not None

    run = wait_until(client, run.id, says_so)
    waiting = stages_of(run)[0].progress.waiting
    assert waiting.exceeds_cluster
    assert "needs 2 workers of 1 CPU and 1 GPU each; the cluster has" in waiting.reason
    run = wait_until(client, run.id, has_ended)
    assert run.state == "failed"
    assert run.state_reason.startswith("generation 0, train: unschedulable: waiting for resources: needs 2 workers")
    assert [each.failure_reason for each in stages_of(run)[0].attempts] == ["unschedulable"]
