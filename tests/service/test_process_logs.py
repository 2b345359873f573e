"""With `logging.format=json` every process writes JSON objects that name the run, stage, attempt and request."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.stages.generation_plans import generation_plans
from service.store.run_store import insert_run
from tests.at_once import LONG_SECONDS, wait_until
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import read_bytes, write_bytes
from workers.specs.selection import SelectionSettings
from workers.specs.stages import STAGE_SPEC, SelectSpec, spec_name
from workers.specs.telemetry import Telemetry
from workers.telemetry.logs import log_context

REPOSITORY = Path(__file__).parents[2]
JSON_LINES = {"NOISY_STUDENT_LOGGING__FORMAT": "json", "NOISY_STUDENT_LOGGING__REQUESTS": "true"}
TICKET = "a-ticket-that-logs-in"
Line = dict[str, Any]


def lines_of(log: Path) -> list[Line]:
    """The lines of a log. Fails if one of them is no JSON object with what every line has."""
    lines: list[Line] = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert all({"asctime", "levelname", "name", "message", "component", "process"} <= line.keys() for line in lines)
    return lines


@contextmanager
def process(log: Path, *words: str, environment: Mapping[str, str], descriptor: int | None = None) -> Iterator[None]:
    """Runs the module in a process whose output goes to `log`, and ends it with SIGTERM."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=REPOSITORY,
            env={**os.environ, **JSON_LINES, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=() if descriptor is None else (descriptor,),
        )
    try:
        yield
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=LONG_SECONDS)
    finally:
        running.kill()
        running.wait(timeout=LONG_SECONDS)


@contextmanager
def api_process(home: Path, environment: Mapping[str, str]) -> Iterator[httpx.Client]:
    """A client of an API process that keeps its state in `home`, and its output there in `api.log`."""
    listener = socket.create_server(("127.0.0.1", 0))  # takes connections while the process starts
    told = {**environment, "NOISY_STUDENT_HOME": str(home)}
    number = listener.fileno()
    with (
        closing(listener),
        process(home / "api.log", "api", str(number), environment=told, descriptor=number),
        httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=LONG_SECONDS) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def api_lines(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    """What an API process logs of four requests, the last of which meets a row that no release writes."""
    home = tmp_path_factory.mktemp("api")
    with api_process(home, {"NOISY_STUDENT_RAY__JOBS_URL": "http://127.0.0.1:9"}) as client:
        assert client.get("/healthz", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
        client.get(f"/ui/enter?ticket={TICKET}", headers={"X-Request-ID": "mine-2"})
        given = client.get("/runs/no%0Asuch-run").headers["X-Request-ID"]
        with sqlite3.connect(home / "noisy-student.db") as database:
            database.execute(
                "insert into runs (id, name, config, state, created_at, updated_at, kind, project, priority)"
                " values ('run-1', '', '{}', 'running', 'yesterday', 0, 'run', 'default', 0)"
            )
        failed = client.get("/runs", headers={"X-Request-ID": "mine-3"})
        assert (failed.status_code, failed.headers["X-Request-ID"]) == (500, "mine-3")
    lines = lines_of(home / "api.log")
    assert [line["path"] for line in lines if line.get("request_id") == given] == ["/runs/no%0Asuch-run"]
    return lines


def test_a_request_is_a_line_with_its_id_and_its_parts(api_lines: list[Line]) -> None:
    [line] = [line for line in api_lines if line.get("request_id") == "mine-1"]
    assert (line["component"], line["levelname"], line["name"]) == ("api", "INFO", "uvicorn.access")
    assert (line["method"], line["path"], line["status"]) == ("GET", "/healthz", 200)


@pytest.mark.attack
def test_a_ticket_in_a_query_is_in_no_line(api_lines: list[Line]) -> None:
    assert TICKET not in json.dumps(api_lines)
    [line] = [line for line in api_lines if line.get("request_id") == "mine-2"]
    assert line["path"] == "/ui/enter"


def test_the_traceback_of_a_failed_request_names_it(api_lines: list[Line]) -> None:
    [answered, failed] = [line for line in api_lines if line.get("request_id") == "mine-3"]
    assert answered["status"] == 500
    assert "TypeError" in failed["exc_text"]


def test_a_reconciler_names_run_stage_attempt_and_the_request_that_began_the_run(
    bench: Workbench, run_config: MakeConfig, tmp_path: Path
) -> None:
    with log_context(request_id="began-it"):
        run_id = bench.commands.create_run(run_config()).id
    log = tmp_path / "reconciler.log"
    environment = {
        "NOISY_STUDENT_HOME": str(bench.settings.home),
        "NOISY_STUDENT_DATABASE_URL": bench.settings.database_url,
        "NOISY_STUDENT_RAY__JOBS_URL": bench.ray.url,
    }
    with process(log, "service.reconcile", environment=environment):
        wait_until(lambda: "SubmitAttempt" in log.read_text(encoding="utf-8"), "the line of the submission")
    [line] = [line for line in lines_of(log) if "SubmitAttempt" in line["message"]]
    assert {name: line[name] for name in ("component", "run", "generation", "stage", "attempt", "request_id")} == {
        "component": "reconciler",
        "run": run_id,
        "generation": 0,
        "stage": "train",
        "attempt": 1,
        "request_id": "began-it",
    }
    layout = ArtifactLayout(bench.settings.artifact_root)
    spec = STAGE_SPEC.validate_json(read_bytes(layout.spec(StageKey(run_id, 0, "train"), 1)))
    assert spec.telemetry == Telemetry(log_format="json", request_id="began-it")


def test_a_driver_names_them_too_also_in_the_traceback_of_its_failure(tmp_path: Path) -> None:
    spec = SelectSpec(
        run_id="run-1",
        generation=2,
        attempt=3,
        folder_uri=str(tmp_path),
        seed=0,
        manifest_uri=str(tmp_path / "missing"),
        labels_uri=str(tmp_path / "missing"),
        classes=("a", "b"),
        settings=SelectionSettings(),
        telemetry=Telemetry(log_format="json", request_id="r-1"),
    )
    uri = str(tmp_path / spec_name(3))
    write_bytes(uri, spec.model_dump_json().encode())
    done = subprocess.run(
        [sys.executable, "-m", "workers.entrypoint", uri], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    common = {"component": "driver", "run": "run-1", "generation": 2, "stage": "select", "attempt": 3}
    assert all(common.items() <= line.items() and line["request_id"] == "r-1" for line in lines)
    assert "Traceback" in lines[-1]["exc_text"]
    assert done.stdout == ""


def test_a_run_is_logged_as_created_once_and_only_when_it_is_stored(
    bench: Workbench, run_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first = bench.commands.create_run(run_config(), idempotency_key="once").id
    assert bench.commands.create_run(run_config(), idempotency_key="once").id == first
    with bench.database.write() as session:
        insert_run(session, "run-undone", run_config(), generation_plans(run_config()), 0.0)
        session.rollback()
    created = [record.getMessage() for record in caplog.records if record.getMessage().endswith(" created")]
    assert created == [f"{first} created"]
