"""`models.pull` and `noisy-student models pull`: a folder that timm loads, whole or not there."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
from typer.testing import CliRunner

from noisy_student import ApiError, AsyncClient, Client, NotFound, UnexpectedAnswer, Unreachable
from noisy_student.cli.main import app as commands
from tests.at_once import LONG_SECONDS, join
from tests.support.scripted_server import Said, scripted_server
from tests.support.stored_models import store_model

FILES = ["README.md", "config.json", "model.json", "model.safetensors"]


@pytest.fixture
def model_id(server: str, finished_run: str) -> str:
    """The id of a model that the server has."""
    with Client(server) as client:
        model = client.models.get(f"{finished_run}-g2")
    store_model(model.uri)
    return model.id


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


WHOLE = zipped({"m/config.json": b"{}", "m/model.safetensors": b"weights" * 100_000})


def sent(body: bytes, length: int | None = None) -> Said:
    return Said(200, body, {"Content-Type": "application/zip", "Content-Length": str(length or len(body))})


def test_a_pulled_model_is_a_folder_that_timm_loads(server: str, model_id: str, tmp_path: Path) -> None:
    with Client(server) as client:
        folder = client.models.pull(model_id, tmp_path / "new" / "model")
    assert folder == tmp_path / "new" / "model"
    assert sorted(file.name for file in folder.iterdir()) == FILES
    assert timm.create_model(f"local-dir:{folder}", pretrained=True).num_classes == 2
    assert list((tmp_path / "new").iterdir()) == [folder]


def test_the_async_client_pulls_too(server: str, model_id: str, tmp_path: Path) -> None:
    async def pull() -> Path:
        async with AsyncClient(server) as client:
            return await client.models.pull(model_id, tmp_path / "model")

    folder = asyncio.run(pull())
    assert sorted(file.name for file in folder.iterdir()) == FILES


def test_the_command_pulls_into_a_folder_with_the_models_id(
    server: str, model_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    done = CliRunner().invoke(commands, ["models", "pull", model_id])
    assert done.exit_code == 0, done.output
    assert f"local-dir:{model_id}" in done.output
    assert sorted(file.name for file in (work / model_id).iterdir()) == FILES
    again = CliRunner().invoke(commands, ["models", "pull", model_id])
    assert again.exit_code == 1
    assert "exists already" in again.output
    other = CliRunner().invoke(commands, ["models", "pull", model_id, "-o", "other"])
    assert (other.exit_code, (work / "other" / "config.json").is_file()) == (0, True)


def test_an_unknown_model_leaves_nothing(server: str, tmp_path: Path) -> None:
    with Client(server) as client, pytest.raises(NotFound):
        client.models.pull("run-0-g0", tmp_path / "model")
    assert not [entry for entry in tmp_path.iterdir() if "model" in entry.name]


def test_a_connection_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    with (
        scripted_server(sent(WHOLE[:1000], len(WHOLE))) as server,
        Client(server.url, retries=0) as client,
        pytest.raises(Unreachable),
    ):
        client.models.pull("m", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_broke_off_begins_again(tmp_path: Path) -> None:
    with scripted_server(sent(WHOLE[:1000], len(WHOLE)), sent(WHOLE)) as server, Client(server.url) as client:
        folder = client.models.pull("m", tmp_path / "model")
    assert (folder / "model.safetensors").read_bytes() == b"weights" * 100_000
    assert [asked.path for asked in server.asked] == ["/models/m/download"] * 2


@pytest.mark.parametrize("body", [WHOLE.replace(b"weights", b"wEIGHTS", 1), WHOLE[:-30], b"<html>"])
def test_a_damaged_archive_leaves_nothing(tmp_path: Path, body: bytes) -> None:
    with (
        scripted_server(sent(body)) as server,
        Client(server.url) as client,
        pytest.raises(UnexpectedAnswer, match="damaged"),
    ):
        client.models.pull("m", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.attack
@pytest.mark.parametrize("name", ["../../evil", "m/../../evil", "/evil", "m/deep/evil", "evil", "m/.."])
def test_an_archive_that_writes_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    home = tmp_path / "a" / "b"
    with (
        scripted_server(sent(zipped({"m/config.json": b"{}", name: b"evil"}))) as server,
        Client(server.url) as client,
        pytest.raises(UnexpectedAnswer, match="no file of its folder"),
    ):
        client.models.pull("m", home / "model")
    assert [entry for entry in tmp_path.rglob("*") if entry.is_file()] == []


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("mine")
    with (
        scripted_server(sent(WHOLE)) as server,
        Client(server.url) as client,
        pytest.raises(ApiError, match="exists already"),
    ):
        client.models.pull("m", tmp_path / "model")
    assert server.asked == []
    assert [entry.name for entry in (tmp_path / "model").iterdir()] == ["mine"]


def test_a_place_that_cannot_be_written_is_an_error_of_the_client(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        scripted_server(sent(WHOLE)) as server,
        Client(server.url) as client,
        pytest.raises(ApiError, match="cannot be written"),
    ):
        client.models.pull("m", tmp_path / "file" / "model")


@pytest.fixture
def stalling() -> Iterator[tuple[str, threading.Event]]:
    """A server that sends half of an archive and no more, and an event for when it has."""
    halfway, over = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(WHOLE)))
            self.end_headers()
            self.wfile.write(WHOLE[: len(WHOLE) // 2])
            self.wfile.flush()
            halfway.set()
            over.wait(LONG_SECONDS)

        def log_message(self, *_: object) -> None:
            """Discards the access log."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}", halfway
    over.set()
    http.shutdown()
    http.server_close()
    join(thread)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_pull_that_is_ended_halfway_leaves_no_model(
    stalling: tuple[str, threading.Event], tmp_path: Path, end: signal.Signals
) -> None:
    url, halfway = stalling
    command = "from noisy_student.cli.main import app; app()"
    pull = subprocess.Popen(
        [sys.executable, "-c", command, "models", "pull", "m", "-o", "model"],
        cwd=tmp_path,
        env={**os.environ, "NOISY_STUDENT_API": url, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.DEVNULL,
    )
    assert halfway.wait(LONG_SECONDS)
    pull.send_signal(end)
    assert pull.wait(LONG_SECONDS) != 0
    assert not (tmp_path / "model").exists()
    if end == signal.SIGINT:
        assert list(tmp_path.iterdir()) == [], "nothing is left at all"
