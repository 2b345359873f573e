"""The command line finds a local stack's key by its address, and sends it nowhere else."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from noisy_student.connection import known_key
from noisy_student.errors import ApiError
from noisy_student.local.own_keys import drop_own_key, keep_own_key
from noisy_student.own_keys import own_key
from tests.support.stranger import stranger_at

pytestmark = pytest.mark.attack

API = "http://127.0.0.1:8123"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("NOISY_STUDENT_API_KEY", raising=False)
    return tmp_path / "state" / "noisy-student"


def test_a_key_is_kept_for_its_owner_alone(state: Path) -> None:
    keep_own_key(API, "nsk_a")
    [file] = state.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700
    assert own_key(API) == known_key(f"{API}/") == "nsk_a"


@pytest.mark.parametrize(
    "other",
    [
        "http://127.0.0.1:8124",
        "http://localhost:8123",
        "http://[::1]:8123",
        "http://team.example:8123",
        "https://127.0.0.1:8123",
        "http://127.0.0.1.evil.example:8123",
        "http://127.0.0.1:8123@evil.example/",
    ],
)
def test_no_other_address_is_sent_the_key(other: str) -> None:
    keep_own_key(API, "nsk_a")
    assert known_key(other) is None


def test_the_environments_key_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_own_key(API, "nsk_a")
    monkeypatch.setenv("NOISY_STUDENT_API_KEY", "nsk_b")
    assert known_key(API) == "nsk_b"


def test_a_key_that_others_can_read_is_not_used(state: Path) -> None:
    keep_own_key(API, "nsk_a")
    next(state.iterdir()).chmod(0o644)
    with pytest.raises(ApiError, match="not yours alone"):
        known_key(API)


def test_a_stack_takes_away_its_own_key_and_no_other() -> None:
    keep_own_key(API, "nsk_new")
    drop_own_key(API, "nsk_old")
    assert own_key(API) == "nsk_new"
    drop_own_key(API, "nsk_new")
    assert own_key(API) is None


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(state: Path, tmp_path: Path) -> None:
    keep_own_key(API, "nsk_a")
    [file] = state.iterdir()
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    keep_own_key(API, "nsk_b")
    assert not (tmp_path / "elsewhere").exists()
    assert own_key(API) == "nsk_b"


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_another_users_program_in_the_place_of_the_stack_is_not_sent_the_key(address: str) -> None:
    """A killed stack could not remove its key."""
    with stranger_at(address) as port:
        keep_own_key(f"http://127.0.0.1:{port}", "nsk_a")
        with pytest.raises(ApiError, match="another user's"):
            known_key(f"http://127.0.0.1:{port}")


def test_another_users_program_beside_the_stack_does_no_harm() -> None:
    with stranger_at("127.0.0.2") as port, closing(socket.create_server(("127.0.0.1", port))):
        keep_own_key(f"http://127.0.0.1:{port}", "nsk_a")
        assert own_key(f"http://127.0.0.1:{port}") == "nsk_a"


def test_ones_own_program_is_sent_the_key() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        api = f"http://127.0.0.1:{listener.getsockname()[1]}"
        keep_own_key(api, "nsk_a")
        assert own_key(api) == "nsk_a"
