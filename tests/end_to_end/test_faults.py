"""Real SIGKILLs of the API, the reconciler and a training worker: the run continues, and nothing runs twice."""

import httpx
import psutil
import pytest

from noisy_student.client import Client
from noisy_student.local.process_family import command_of, descendants, kill_all, processes_of, wait_for_ends
from noisy_student.local.stack import LocalStack
from service.views.runs import RunView
from tests.end_to_end.conftest import SmallRun, has_ended, is_at, result_of, stages_of, wait_until


def kill(pid: int) -> None:
    kill_all(processes_of([pid]))


def restart_killed(stack: LocalStack, client: Client) -> None:
    """Supervises as `noisy-student up` does each second, then waits until the API responds."""
    stack.supervise()
    stack.wait_for_api()


def test_a_run_survives_kill_9_of_api_and_reconciler_in_each_stage(
    stack: LocalStack, client: Client, small_run: SmallRun
) -> None:
    run: RunView = client.runs.create(small_run(teacher_steps=150, student_steps=60))
    for stage in ("g0-train", "g0-evaluate", "g1-label", "g1-train"):
        wait_until(client, run.id, is_at(stage))
        kill(stack.pid_of("reconciler"))
        kill(stack.pid_of("api"))
        restart_killed(stack, client)
    run = wait_until(client, run.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    assert [len(stage.attempts) for stage in stages_of(run)] == [1] * 6


def test_a_head_whose_node_was_ended_is_started_again(stack: LocalStack, client: Client, small_run: SmallRun) -> None:
    head = stack.pid_of("ray")
    stack.supervise()  # notices that the head has its node
    raylet = next(child for child in descendants(head) if command_of(child).partition(" ")[0].endswith("/raylet"))
    raylet.terminate()
    assert wait_for_ends([raylet], 30) == []
    assert psutil.pid_exists(head)  # it still runs and responds, but no job could start
    restart_killed(stack, client)
    assert stack.pid_of("ray") != head
    run: RunView = client.runs.create(small_run(teacher_steps=20, generations=0, student_models=[]))
    assert wait_until(client, run.id, has_ended).state == "succeeded"


def test_training_goes_on_from_its_checkpoint_when_a_worker_is_lost(
    stack: LocalStack, client: Client, small_run: SmallRun
) -> None:
    run: RunView = client.runs.create(small_run(teacher_steps=200, train_workers=2, generations=0, student_models=[]))
    wait_until(client, run.id, is_at("g0-train", done=60))
    kill(a_training_worker(stack.pid_of("ray")))
    run = wait_until(client, run.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    train = stages_of(run)[0]
    assert len(train.attempts) == 1
    assert result_of(train)["resumed_from_step"] >= 40
    assert result_of(train)["steps"] == 200


def test_cancel_ends_the_work_on_the_cluster_and_retry_goes_on(
    stack: LocalStack, client: Client, small_run: SmallRun
) -> None:
    run: RunView = client.runs.create(small_run(teacher_steps=400, generations=0, student_models=[]))
    wait_until(client, run.id, is_at("g0-train", done=40))
    client.runs.cancel(run.id)
    run = wait_until(client, run.id, has_ended)
    assert run.state == "cancelled"
    job = httpx.get(
        f"{stack.dashboard_url}/api/jobs/{stages_of(run)[0].attempts[0].submission_id}", headers=stack.ray.headers
    )
    assert job.status_code == 404 or job.json()["status"] == "STOPPED"
    client.runs.retry(run.id)
    run = wait_until(client, run.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    assert result_of(stages_of(run)[0])["resumed_from_step"] >= 20


def a_training_worker(ray_pid: int) -> int:
    for process in descendants(ray_pid):
        if "RayTrainWorker" in command_of(process):
            return process.pid
    raise pytest.fail("no training worker was found")
