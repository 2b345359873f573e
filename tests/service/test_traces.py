"""A trace leads from a request through the reconciler's submission to the driver's stage, over real OTLP."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.at_once import wait_until
from tests.service.test_process_logs import api_process, process
from tests.support.fake_ray import FakeRay
from tests.support.otlp_receiver import OtlpReceiver, receiving
from workers.artifact_io import join_uri, write_bytes
from workers.specs.reports import StageControl
from workers.specs.selection import SelectionSettings
from workers.specs.stages import SelectSpec, control_name, spec_name
from workers.specs.telemetry import Telemetry

REPOSITORY = Path(__file__).parents[2]
CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
"""The trace id of the caller, as W3C's own example has it."""


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with receiving() as found:
        yield found


def post(client: httpx.Client, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def registered(client: httpx.Client, write_images: Callable[..., Path]) -> dict[str, str]:
    """The ids of the datasets of a run with a teacher alone."""
    ids = {}
    for color, (name, role) in enumerate(
        {"labeled": "labeled", "validation": "evaluation", "test": "evaluation"}.items()
    ):
        file = write_images(name, 100 * color)
        ids[name] = post(client, "/datasets", {"name": name, "role": role, "uri": str(file)})["id"]
    return ids


def driven(ray: FakeRay, job_id: str) -> None:
    """Runs the job's own command in a real process. Its spec tells it to pause before it needs a cluster."""
    spec = ray.spec_of(job_id)
    write_bytes(
        join_uri(spec.folder_uri, control_name(spec.attempt)), StageControl(command="pause").model_dump_json().encode()
    )
    _, *words = shlex.split(ray.jobs[job_id]["entrypoint"])
    done = subprocess.run([sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr


def test_the_driver_has_the_trace_of_the_request_that_began_its_run(
    receiver: OtlpReceiver, ray: FakeRay, write_images: Callable[..., Path], tmp_path: Path
) -> None:
    tracing = {"NOISY_STUDENT_RAY__JOBS_URL": ray.url, "NOISY_STUDENT_TRACING__OTLP_ENDPOINT": receiver.url}
    with api_process(tmp_path, tracing) as client:
        assert client.get("/healthz").status_code == 200
        body = {
            "name": "traced",
            "datasets": registered(client, write_images),
            "teacher_model": "test_resnet",
            "generations": 0,
            "teacher_recipe": {"image_size": 32, "steps": 10, "unlabeled_ratio": 0},
        }
        headers = {"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01", "X-Request-ID": "traced-1"}
        run_id = post(client, "/runs", body, **headers)["id"]
        environment = {**tracing, "NOISY_STUDENT_HOME": str(tmp_path)}
        with process(tmp_path / "reconciler.log", "service.reconcile", environment=environment):
            wait_until(lambda: ray.submits, "the submission")
        driven(ray, f"{run_id}-g0-train-a1")

    assert receiver.named("GET /healthz") == []
    [request] = receiver.named("POST /runs")
    [submission] = receiver.named("submit train")
    [stage] = receiver.named("stage train")
    [setup] = receiver.named("set-up")
    line = [request, submission, stage, setup]
    assert [span.service.removeprefix("noisy-student-") for span in line] == ["api", "reconciler", "driver", "driver"]
    assert {span.trace_id for span in line} == {CALLER}
    assert [span.parent_id for span in line] == ["00f067aa0ba902b7", *(span.span_id for span in line[:-1])]
    assert request.attributes["http.response.status_code"] == 201
    for span in (submission, stage):
        told = {name.removeprefix("noisy_student."): value for name, value in span.attributes.items()}
        expected: dict[str, str | int] = {"run": run_id, "stage": "train", "attempt": 1, "request_id": "traced-1"}
        assert expected.items() <= told.items()
    assert stage.attributes["noisy_student.reason"] == "paused"
    assert not any(span.has_failed for span in line)
    assert all(span.started_at <= span.ended_at for span in line)


def test_a_collector_that_is_away_holds_up_no_stage(tmp_path: Path) -> None:
    spec = SelectSpec(
        run_id="run-1",
        generation=1,
        attempt=1,
        folder_uri=str(tmp_path),
        seed=0,
        manifest_uri=str(tmp_path / "missing"),
        labels_uri=str(tmp_path / "missing"),
        classes=("a", "b"),
        settings=SelectionSettings(),
        telemetry=Telemetry(otlp_endpoint="http://127.0.0.1:9"),
    )
    uri = str(tmp_path / spec_name(1))
    write_bytes(uri, spec.model_dump_json().encode())
    done = subprocess.run([sys.executable, "-m", "workers.entrypoint", uri], cwd=REPOSITORY, timeout=120, check=False)
    assert done.returncode == 1
    assert (tmp_path / "failure.json").exists()


def test_an_api_that_is_told_to_end_sends_its_last_spans_first(receiver: OtlpReceiver, tmp_path: Path) -> None:
    tracing = {
        "NOISY_STUDENT_RAY__JOBS_URL": "http://127.0.0.1:9",
        "NOISY_STUDENT_TRACING__OTLP_ENDPOINT": receiver.url,
    }
    with api_process(tmp_path, tracing) as client:
        assert client.get("/runs").status_code == 200

    assert len(receiver.named("GET /runs")) == 1
