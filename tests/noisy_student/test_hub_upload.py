"""`noisy-student models push`: the Hub's own client uploads a pulled model to a Hub on loopback."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from noisy_student import Client
from tests.support.small_hub import SmallHub, small_hub
from tests.support.stored_models import store_model

FILES = ["README.md", "config.json", "model.json", "model.safetensors"]


@pytest.fixture
def pulled(tmp_path: Path) -> Path:
    """A folder as `models pull` makes it, and what someone has put beside it since."""
    folder = tmp_path / "run-1-g1"
    store_model(str(folder))
    (folder / "README.md").write_text("---\nlibrary_name: timm\n---\n\n# run-1-g1\n", encoding="utf-8")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    return folder


def push(
    model: Path | str, hub: SmallHub | None, *options: str, token: str | None = "hf_secret", home: Path | None = None
) -> tuple[int, str]:
    """Runs the command in a process of its own, since the client reads its environment when it is imported."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))},
        "HF_HOME": str((home or Path(model).parent) / "home"),
        "HF_ENDPOINT": "http://127.0.0.1:9" if hub is None else hub.url,
        "HF_HUB_DISABLE_XET": "1",  # the Hub's newer protocol, which this small one does not speak
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **({} if token is None else {"HF_TOKEN": token}),
    }
    command = "from noisy_student.cli.main import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", command, "models", "push", str(model), "team/student", *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_pulled_model_is_uploaded_in_one_commit(pulled: Path) -> None:
    with small_hub() as hub:
        code, said = push(pulled, hub)
    assert code == 0, said
    assert f"{hub.url}/team/student/commit/1" in said
    assert hub.files == {name: (pulled / name).read_bytes() for name in FILES}
    assert hub.summary == "Upload run-1-g1"
    assert hub.tokens == {"Bearer hf_secret"}
    assert hub.created["visibility"] == "private"
    metadata: Any = ModelCard(hub.files["README.md"].decode()).data
    assert metadata.library_name == "timm"


def test_a_model_of_the_service_is_uploaded_by_its_id(server: str, finished_run: str, tmp_path: Path) -> None:
    model_id = f"{finished_run}-g2"
    with Client(server) as client:
        store_model(client.models.get(model_id).uri)
    with small_hub() as hub:
        code, said = push(model_id, hub, "--api", server, home=tmp_path)
    assert code == 0, said
    assert sorted(hub.files) == FILES
    assert hub.summary == f"Upload {model_id}"
    assert f"# {model_id}".encode() in hub.files["README.md"]


def test_a_new_repository_is_public_only_on_demand(pulled: Path) -> None:
    with small_hub() as hub:
        assert push(pulled, hub, "--public")[0] == 0
    assert hub.created["visibility"] == "public"


def test_without_a_token_nothing_is_sent(pulled: Path) -> None:
    with small_hub() as hub:
        code, said = push(pulled, hub, token=None)
    assert (code, "set HF_TOKEN" in said) == (1, True)
    assert hub.tokens == set()


def test_a_refusal_of_the_hub_is_told(pulled: Path) -> None:
    with small_hub(status=403) as hub:
        code, said = push(pulled, hub)
    assert (code, "does not take team/student" in said) == (1, True)
    assert "Traceback" not in said
    assert "hf_secret" not in said


def test_a_folder_that_is_no_pulled_model_is_refused(pulled: Path) -> None:
    (pulled / "README.md").unlink()
    code, said = push(pulled, None)
    assert (code, "has no README.md" in said) == (1, True)
