"""`login` keeps an address with a key that works, and commands and clients use it where nothing else is said."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from noisy_student import ApiError, Client
from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.main import app as commands
from noisy_student.connection import connection_to
from noisy_student.profiles import Profile, Profiles, keep_profiles, load_profiles, profiles_path
from service.config.access import Scope

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for configuration that has none yet, and an environment that names no service."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in [name for name in os.environ if name.startswith("NOISY_STUDENT_")]:
        monkeypatch.delenv(name)
    return tmp_path


def cli(*words: str, **more: Any) -> Result:
    return CliRunner().invoke(commands, list(words), **more)


@pytest.fixture
def key(make_key: Callable[..., str]) -> str:
    return make_key("operator")


@pytest.fixture
def key_file(home: Path, key: str) -> Path:
    file = home / "key"
    file.write_text(f"{key}\n")
    file.chmod(0o600)
    return file


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_key_is_checked_kept_privately_and_used(server: str, key: str, key_file: Path) -> None:
    assert cli("runs", "list", "--api", server).exit_code == ExitCode.NO_ACCESS
    done = cli("login", f"{server}/", "--key-file", str(key_file))
    assert done.exit_code == 0, done.output
    assert "operator, all projects" in done.stdout
    assert (_mode(profiles_path()), _mode(profiles_path().parent)) == (0o600, 0o700)
    assert key not in done.output
    assert cli("runs", "list", "-o", "json").stdout.strip() == "[]"
    with Client() as client:
        assert client.api == server
        assert client.service.me().scope == Scope.OPERATOR
    assert [each.name for each in profiles_path().parent.iterdir()] == ["profiles.json"]


def test_a_key_comes_from_standard_input_or_is_typed(server: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("login", server, "--key-file", "-", "--profile", "piped", input=f"{key}\n").exit_code == 0
    assert load_profiles().by_name["piped"].key == key
    refused = cli("login", server, "--profile", "typed", input=key)
    assert refused.exit_code == ExitCode.USAGE
    assert "--key-file" in refused.stderr
    monkeypatch.setattr("noisy_student.cli.commands.profiles._can_ask", lambda: True)
    typed = cli("login", server, "--profile", "typed", input=f"{key}\n")
    assert typed.exit_code == 0, typed.output
    assert key not in typed.output
    assert load_profiles().by_name["typed"].key == key


def test_a_key_that_the_service_does_not_know_is_not_kept(server: str, secured: FastAPI) -> None:
    refused = cli("login", server, "--key-file", "-", input="nsk_1_no")
    assert refused.exit_code == ExitCode.NO_ACCESS
    assert cli("login", "http://127.0.0.1:9", "--key-file", "-", input="nsk").exit_code == ExitCode.UNREACHABLE
    assert not profiles_path().exists()


@pytest.mark.attack
def test_a_key_file_or_profiles_that_others_can_read_are_refused(server: str, key_file: Path) -> None:
    key_file.chmod(0o640)
    refused = cli("login", server, "--key-file", str(key_file))
    assert refused.exit_code == ExitCode.ERROR
    assert "can be read by others: chmod 600 it" in refused.stderr
    key_file.chmod(0o600)
    assert cli("login", server, "--key-file", str(key_file)).exit_code == 0
    profiles_path().chmod(0o644)
    for command in (("runs", "list"), ("profiles", "list")):
        refused = cli(*command)
        assert refused.exit_code == ExitCode.ERROR
        assert "is not yours alone" in refused.stderr
    with pytest.raises(ApiError, match="is not yours alone"):
        Client()


@pytest.mark.attack
def test_a_key_is_never_sent_to_another_address() -> None:
    keep_profiles(Profiles({"a": Profile("https://a.example", "nsk_a", ca_file="/ca.pem")}, "a"))
    environment = dict(os.environ)
    for api in ("https://b.example", "http://a.example", "https://a.example:8443", "https://a.example.evil.example"):
        other = connection_to(api, None, None, None, None, 1, 0, "a", environment=environment)
        assert (other.key, other.tls.ca_file) == (None, None)
        by_variable = connection_to(
            None, None, None, None, None, 1, 0, environment={**environment, "NOISY_STUDENT_API": api}
        )
        assert (by_variable.api, by_variable.key) == (api, None)
    assert connection_to("https://a.example/", None, None, None, None, 1, 0, environment=environment).key == "nsk_a"


def test_arguments_come_before_the_environment_and_that_before_the_profile() -> None:
    keep_profiles(
        Profiles(
            {"a": Profile("https://a.example", "nsk_a", ca_file="/a"), "b": Profile("https://b.example", "nsk_b")}, "a"
        )
    )
    environment = dict(os.environ)

    def found(
        api: str | None = None, key: str | None = None, profile: str | None = None, **more: str
    ) -> tuple[Any, ...]:
        connection = connection_to(api, key, None, None, None, 1, 0, profile, environment={**environment, **more})
        return connection.api, connection.key

    assert found() == ("https://a.example", "nsk_a")
    assert found(NOISY_STUDENT_PROFILE="b") == ("https://b.example", "nsk_b")
    assert found(profile="a", NOISY_STUDENT_PROFILE="b") == ("https://a.example", "nsk_a")
    assert found(NOISY_STUDENT_API_KEY="nsk_e") == ("https://a.example", "nsk_e")
    assert found(key="nsk_k", NOISY_STUDENT_API_KEY="nsk_e") == ("https://a.example", "nsk_k")
    assert found(NOISY_STUDENT_API="https://b.example", NOISY_STUDENT_PROFILE="b") == ("https://b.example", "nsk_b")
    with pytest.raises(ApiError, match="there is no profile 'c'; there are: a, b"):
        found(profile="c")


def test_profiles_are_listed_chosen_and_removed(server: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        assert cli("login", server, "--profile", name, "--key-file", "-", input=key).exit_code == 0
    listed = json.loads(cli("profiles", "list", "-o", "json").stdout)
    assert [(each["name"], each["current"], each["has_key"]) for each in listed] == [
        ("one", False, True),
        ("two", True, True),
    ]
    assert key not in cli("profiles", "list", "-o", "wide").output + json.dumps(listed)
    assert cli("profiles", "use", "one").exit_code == 0
    assert load_profiles().current == "one"
    assert cli("logout").exit_code == 0
    assert list(load_profiles().by_name) == ["two"]
    assert cli("logout").exit_code == ExitCode.ERROR
    assert cli("profiles", "use", "one").exit_code == ExitCode.ERROR
    assert cli("profiles", "remove", "two").exit_code == 0
    assert key not in profiles_path().read_text()
    assert cli("login", server, "--profile", "../x", "--key-file", "-", input=key).exit_code == ExitCode.ERROR


@pytest.mark.parametrize(
    "words",
    [
        ("--profile", "mine", "runs", "list"),
        ("runs", "list", "--profile", "mine"),
        ("runs", "--profile=mine", "list"),
        ("runs", "list", "--profile=mine", "-o", "json"),
    ],
)
def test_a_profile_is_named_before_or_after_the_command(server: str, key: str, words: tuple[str, ...]) -> None:
    keep_profiles(Profiles({"mine": Profile(server, key), "other": Profile("http://127.0.0.1:9", "nsk_x")}, "other"))
    assert cli("runs", "list").exit_code == ExitCode.UNREACHABLE
    done = cli(*words)
    assert done.exit_code == 0, done.output
    assert "NOISY_STUDENT_PROFILE" not in os.environ
    assert cli("runs", "list", "--profile", "nobody").exit_code == ExitCode.ERROR
    assert cli("runs", "list", "--profile").exit_code == ExitCode.USAGE


def test_what_is_no_file_of_profiles_is_said(home: Path) -> None:
    profiles_path().parent.mkdir(parents=True)
    for text in ("", "[]", '{"profiles": {"a": {"no": 1}}, "current": null}', '{"profiles": [], "current": null}'):
        profiles_path().write_text(text)
        profiles_path().chmod(0o600)
        refused = cli("profiles", "list")
        assert refused.exit_code == ExitCode.ERROR
        assert "holds no profiles of this version" in refused.stderr
