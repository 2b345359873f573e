"""A real MLflow server on loopback, and a folder of MLflow's, have the runs of a service's run, nested, each once."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from noisy_student.local.ray_head import free_ports
from tests.limits import END_TO_END_LIMIT_SECONDS
from tests.support.mlflow_environment import REPOSITORY, mlflow_python, own_environment
from tests.support.played_stages import RUN, train, train_spec
from workers.specs.tracking import Tracking

pytestmark = pytest.mark.timeout(END_TO_END_LIMIT_SECONDS)  # the first test may have to install MLflow

TELL = Path(__file__).with_name("tell_mlflow.py")
PROCESSES = (("teacher", "search", "killed"), ("resume", "resume"))
"""The parts by processes. An attempt that is killed after its last report is played as one that is repeated."""
PATIENCE_SECONDS = 240.0
READ = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
[experiment] = [each for each in client.search_experiments() if each.name == "noisy-student"]
found = {}
for run in client.search_runs([experiment.experiment_id]):
    histories, artifacts = {}, {}
    for key in run.data.metrics:
        histories[key] = [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, key)]
    for file in client.list_artifacts(run.info.run_id):
        path = client.download_artifacts(run.info.run_id, file.path)
        artifacts[file.path] = open(path, errors="replace").read()
    found[run.info.run_id] = {
        "name": run.info.run_name, "status": run.info.status, "tags": run.data.tags, "parameters": run.data.params,
        "metrics": histories, "artifacts": artifacts,
    }
print(json.dumps(found))
"""


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A server with its database and artifacts in the folder."""
    (port,) = free_ports(1)
    command = [str(mlflow_python()), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    url = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=own_environment(), stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not answers(url):
                going = process.poll() is None and time.monotonic() < deadline
                assert going, (folder / "server.log").read_text()
                time.sleep(0.3)
            yield url
        finally:
            end_session(process)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def end_session(process: "subprocess.Popen[bytes]") -> None:
    """Ends the server and the workers that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def tell(root: Path, uri: str, *parts: str) -> str:
    """Plays the parts in a process, one after the other, and returns what its log says."""
    done = subprocess.run(
        [str(mlflow_python()), str(TELL), str(root), uri, *parts],
        env=own_environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == (-signal.SIGKILL if parts[-1] == "killed" else 0), done.stderr
    return done.stderr


def tell_all(root: Path, uri: str) -> None:
    """Plays the whole run, in which nothing goes wrong with MLflow."""
    for parts in PROCESSES:
        said = tell(root, uri, *parts)
        assert "MLflow" not in said, said


Told = dict[str, dict[str, Any]]
"""The MLflow runs by their ids: name, status, tags, parameters, metrics, artifacts, as MLflow's client reads them."""


def read(uri: str) -> Told:
    done = subprocess.run(
        [str(mlflow_python()), "-c", READ, uri],
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.fixture(scope="module", params=["server", "folder"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """What MLflow has of a run with a teacher, a search, and a training that was killed, went on and was repeated."""
    folder = tmp_path_factory.mktemp("mlflow")
    if request.param == "folder":
        uri = f"file://{folder / 'mlruns'}"
        tell_all(folder / "root", uri)
        yield read(uri)
        return
    with mlflow_server(folder) as url:
        tell_all(folder / "root", url)
        yield read(url)


def place(told: Told, run_id: str) -> str:
    """The names of the run and those that it is in, from the outermost on."""
    run = told[run_id]
    parent = run["tags"].get("mlflow.parentRunId")
    return run["name"] if parent is None else f"{place(told, parent)}/{run['name']}"


def one(told: Told, where: str) -> dict[str, Any]:
    [found] = [run for run_id, run in told.items() if place(told, run_id) == where]
    return found


def test_stages_and_trials_are_nested_in_the_run_and_none_is_there_twice(told: Told) -> None:
    assert sorted(place(told, run_id) for run_id in told) == [
        "my digits",
        "my digits/generation 0",
        "my digits/generation 0/evaluate",
        "my digits/generation 0/train",
        "my digits/generation 1",
        "my digits/generation 1/evaluate",
        "my digits/generation 1/search",
        "my digits/generation 1/search/trial 0000",
        "my digits/generation 1/search/trial 0001",
        "my digits/generation 1/train",
    ]
    assert {run["status"] for run in told.values()} == {"FINISHED"}


def test_a_training_that_goes_on_has_each_step_once(told: Told) -> None:
    train = one(told, "my digits/generation 1/train")

    assert train["metrics"]["loss"] == [[step, 1 / step] for step in (5, 10, 15, 20)]
    assert train["metrics"]["validation_top1"] == [[10, 0.1], [20, 0.2]]
    assert train["metrics"]["final_validation_top1"] == [[1, 0.4]]


def test_tags_say_where_it_belongs(told: Told) -> None:
    tags = one(told, "my digits/generation 1/train")["tags"]

    ours = {name.removeprefix("noisy_student."): value for name, value in tags.items() if "noisy_student." in name}
    assert ours.pop("folder") == ours.pop("model_folder")
    assert ours == {
        "key": f"{RUN}-g1-train",
        "run": RUN,
        "generation": "1",
        "stage": "train",
        "attempt": "2",
        "model": f"{RUN}-g1",
        "teacher": f"{RUN}-g0",
        "page": f"https://service.example.org/ui/runs/{RUN}",
        "download": f"https://service.example.org/models/{RUN}-g1/download",
    }
    assert one(told, "my digits")["tags"]["noisy_student.page"] == f"https://service.example.org/ui/runs/{RUN}"


def test_parameters_are_the_recipe_one_by_one(told: Told) -> None:
    parameters = one(told, "my digits/generation 1/train")["parameters"]
    assert (parameters["model"], parameters["steps"], parameters["noise.dropout"]) == ("resnet18", "40", "0.5")


def test_trials_have_what_was_drawn_for_them(told: Told) -> None:
    trials = [one(told, f"my digits/generation 1/search/trial 000{number}") for number in range(2)]

    assert [trial["parameters"]["rand_augment_m"] for trial in trials] == ["0", "3"]
    assert [[step for step, _ in trial["metrics"]["loss"]] for trial in trials] == [[5, 10], [5]]


def test_the_run_has_its_evaluations_by_generation(told: Told) -> None:
    assert one(told, "my digits")["metrics"]["top1"] == [[0, 0.5], [1, 0.75]]
    assert one(told, "my digits/generation 1/evaluate")["metrics"]["external/photos _2019_/top1"] == [[1, 0.75]]


def test_small_files_are_artifacts_and_weights_are_not(told: Told) -> None:
    artifacts = one(told, "my digits/generation 1/train")["artifacts"]
    assert artifacts == {"model.json": '{"model": "resnet18"}', "initial_weights.json": '{"taken": []}'}


def test_weights_are_uploaded_where_the_setting_says_so(tmp_path: Path) -> None:
    uri = f"file://{tmp_path / 'mlruns'}"
    tell(tmp_path / "root", uri, "upload")
    assert one(read(uri), "my digits/generation 1/train")["artifacts"]["model.safetensors"] == "weights"


def test_a_server_that_is_away_costs_a_training_seconds_and_one_warning(tmp_path: Path) -> None:
    started = time.monotonic()
    said = tell(tmp_path / "root", "http://127.0.0.1:9", "away")

    assert time.monotonic() - started < 90  # most of it on a busy machine, for imports
    [warning] = [line for line in said.splitlines() if line.startswith("figures do not reach MLflow")]
    assert "the stage goes on without" in warning


def test_a_stage_without_the_package_warns_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """This environment has no MLflow."""
    spec = train_spec(str(tmp_path), tracking=Tracking(mlflow_uri="http://127.0.0.1:9"))

    train(spec, [5])

    [said] = [record.message for record in caplog.records if "MLflow" in record.message]
    assert "noisy-student[tracking]" in said
