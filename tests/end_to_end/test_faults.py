"""Real SIGKILLs of the API, the reconciler and a training worker: the run continues, and nothing runs twice."""

import shlex
import sys
import time

import httpx
import psutil
import pytest

from noisy_student.client import Client
from noisy_student.errors import ApiError
from noisy_student.local.process_family import command_of, descendants, kill_all, processes_of, wait_for_ends
from noisy_student.local.stack import LocalStack
from service.views.runs import RunView
from tests.end_to_end.conftest import (
    STAGE_TIMEOUT_SECONDS,
    SmallRun,
    has_ended,
    is_at,
    result_of,
    stages_of,
    wait_until,
)


def kill(pid: int) -> None:
    kill_all(processes_of([pid]))


def restart_killed(stack: LocalStack, client: Client) -> None:
    """Supervises as `noisy-student up` does each second, then waits until the API responds."""
    stack.supervise()
    stack.wait_for_api()


def test_a_run_and_a_generation_added_to_it_survive_kill_9_of_api_and_reconciler_in_each_stage(
    stack: LocalStack, client: Client, small_run: SmallRun
) -> None:
    run: RunView = client.runs.create(small_run(teacher_steps=150, generations=0, student_models=[]))
    kill_both_in(stack, client, run, "g0-train", "g0-evaluate")
    assert wait_until(client, run.id, has_ended).state == "succeeded"

    recipe = {**small_run(student_steps=60)["student_recipe"], "targets": "hard"}
    client.runs.add_generation(run.id, {"recipe": recipe, "student_model": "test_resnet"})
    with pytest.raises(ApiError, match=r"(?i)conflict"):
        client.runs.add_generation(run.id, {})
    kill_both_in(stack, client, run, "g1-label", "g1-train")
    run = wait_until(client, run.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    assert [len(stage.attempts) for stage in stages_of(run)] == [1] * 6
    assert [generation.number for generation in run.generation_details] == [0, 1]
    added = run.generation_details[1]
    assert added.plan.recipe is not None
    assert added.plan.recipe.targets == "hard"
    assert added.model is not None
    assert added.model.test_top1 is not None


def kill_both_in(stack: LocalStack, client: Client, run: RunView, *stages: str) -> None:
    """Kills the reconciler and the API once in each of the stages, and starts both again."""
    for stage in stages:
        wait_until(client, run.id, is_at(stage))
        kill(stack.pid_of("reconciler"))
        kill(stack.pid_of("api"))
        restart_killed(stack, client)


def test_a_head_whose_node_was_ended_is_started_again(stack: LocalStack, client: Client) -> None:
    head = stack.pid_of("ray")
    stack.supervise()  # notices that the head has its node
    raylet = next(child for child in descendants(head) if command_of(child).partition(" ")[0].endswith("/raylet"))
    raylet.terminate()
    assert wait_for_ends([raylet], 30) == []
    assert psutil.pid_exists(head)  # it still runs and responds, but no job could start
    restart_killed(stack, client)
    assert stack.pid_of("ray") != head
    assert status_of_a_job(stack, "import ray; ray.get(ray.remote(lambda: 1).remote())") == "SUCCEEDED"


def status_of_a_job(stack: LocalStack, code: str) -> str:
    """Runs Python code as a job of the stack's Ray and returns how it ended."""
    jobs, headers = f"{stack.dashboard_url}/api/jobs/", stack.ray.headers
    asked = {"entrypoint": shlex.join([sys.executable, "-c", code]), "submission_id": "after-the-restart"}
    deadline = time.monotonic() + STAGE_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        try:  # a head that has just started refuses connections, then answers 5xx until its agent is there
            found = httpx.get(jobs + asked["submission_id"], headers=headers, timeout=60)
            if found.status_code == 404:
                httpx.post(jobs, json=asked, headers=headers, timeout=60)
            elif found.json()["status"] in ("SUCCEEDED", "FAILED", "STOPPED"):
                return str(found.json()["status"])
        except (httpx.TransportError, ValueError, KeyError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"the job has not ended in {STAGE_TIMEOUT_SECONDS} s")


def test_training_goes_on_from_its_checkpoint_after_a_lost_worker_and_after_a_cancel(
    stack: LocalStack, client: Client, small_run: SmallRun
) -> None:
    run: RunView = client.runs.create(small_run(teacher_steps=300, train_workers=2, generations=0, student_models=[]))
    wait_until(client, run.id, is_at("g0-train", done=60))
    kill(a_training_worker(stack.pid_of("ray")))
    wait_until(client, run.id, is_at("g0-train", done=120))
    client.runs.cancel(run.id)
    run = wait_until(client, run.id, has_ended)
    assert run.state == "cancelled"
    assert len(stages_of(run)[0].attempts) == 1
    steps = [row.step for row in client.stages.metrics(run.id, 0, "train").rows]
    assert [step for step in steps if step <= 40] == [10, 20, 30, 40]  # none was repeated
    job = httpx.get(
        f"{stack.dashboard_url}/api/jobs/{stages_of(run)[0].attempts[0].submission_id}", headers=stack.ray.headers
    )
    assert job.status_code == 404 or job.json()["status"] == "STOPPED"

    client.runs.retry(run.id)
    run = wait_until(client, run.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    assert result_of(stages_of(run)[0])["resumed_from_step"] >= 40
    assert result_of(stages_of(run)[0])["steps"] == 300


def a_training_worker(ray_pid: int) -> int:
    for process in descendants(ray_pid):
        if "RayTrainWorker" in command_of(process):
            return process.pid
    raise pytest.fail("no training worker was found")
