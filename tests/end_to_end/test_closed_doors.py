"""Other users of the machine, and other machines, get nothing from the local stack."""

import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from benchmarks.control_plane.open_doors import Port, answers_to_a_stranger, gives_something, listening_ports
from noisy_student.client import Client
from noisy_student.errors import Conflict
from noisy_student.local.process_family import descendants
from noisy_student.local.stack import LocalStack
from tests.end_to_end.conftest import SmallRun, has_ended, is_at, wait_until

pytestmark = pytest.mark.attack

_OTHER_USER = "nobody"
_AS_OTHER_USER = """
import json, os, sys
from benchmarks.control_plane.open_doors import answers_to_a_stranger
import encodings.idna, grpc, httpx

user, group, ports, files = json.load(sys.stdin)
httpx.Client(trust_env=False).close()
os.setgroups([])
os.setgid(group)
os.setuid(user)

def reads(path):
    try:
        return bool(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1))
    except OSError:
        return False

answers = {str(port): answers_to_a_stranger("127.0.0.1", port) for port in ports}
print(json.dumps([answers, [file for file in files if reads(file)]]))
"""
_NAMESPACE = f"ns-{os.getpid()}"
_HERE, _THERE = "10.255.97.1", "10.255.97.2"
_REACHES = """
import json, socket, sys
host, ports = json.load(sys.stdin)
def reaches(port):
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True
print(json.dumps([port for port in ports if reaches(port)]))
"""


@pytest.fixture(scope="module")
def ports(stack: LocalStack, client: Client, small_run: SmallRun) -> Iterator[list[Port]]:
    """The ports that listen while two workers train."""
    run = client.runs.create(small_run(teacher_steps=400, train_workers=2, generations=0, student_models=[]))
    wait_until(client, run.id, is_at("g0-train", done=1))
    yield list(listening_ports(descendants(os.getpid())))
    with suppress(Conflict):  # the run has already ended
        client.runs.cancel(run.id)
    wait_until(client, run.id, has_ended)


def test_everything_listens_on_loopback_alone(ports: list[Port]) -> None:
    assert {"gcs_server", "raylet", "ray::DashboardAgent", "api"} <= {port.process for port in ports}
    assert [port for port in ports if not port.on_loopback] == []


def test_there_is_no_ray_client_server(ports: list[Port]) -> None:
    assert [port for port in ports if "ray.util.client" in port.process] == []


def test_no_port_gives_anything_without_a_token(ports: list[Port]) -> None:
    answers = {port: answers_to_a_stranger("127.0.0.1", port.port) for port in ports}
    assert {port: answer for port, answer in answers.items() if gives_something(answer)} == {}


def test_another_user_of_the_machine_gets_nothing(stack: LocalStack, ports: list[Port]) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    other = pwd.getpwnam(_OTHER_USER)
    files = [stack.ray.folder, stack.ray.folder / "token", *stack.ray.folder.rglob("sockets/*")]
    question = [other.pw_uid, other.pw_gid, [port.port for port in ports], [str(path) for path in files]]
    answers, readable = json.loads(_run([sys.executable, "-c", _AS_OTHER_USER], question))
    assert readable == []
    assert len(answers) == len({port.port for port in ports})
    assert {port: answer for port, answer in answers.items() if gives_something(answer)} == {}


@pytest.fixture
def other_machine() -> Iterator[list[str]]:
    """The command prefix for a network namespace that reaches this machine by one address."""
    if os.getuid() != 0:
        pytest.skip("only root can make a network namespace")
    commands = [
        f"ip netns add {_NAMESPACE}",
        f"ip link add veth-here type veth peer name veth-there netns {_NAMESPACE}",
        f"ip addr add {_HERE}/30 dev veth-here",
        "ip link set veth-here up",
        f"ip -n {_NAMESPACE} addr add {_THERE}/30 dev veth-there",
        f"ip -n {_NAMESPACE} link set veth-there up",
    ]
    try:
        for command in commands:
            try:
                subprocess.run(command.split(), check=True, capture_output=True, timeout=20)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"this machine makes no network namespace: {command}: {error}")
        yield f"ip netns exec {_NAMESPACE}".split()
    finally:
        subprocess.run(["ip", "netns", "delete", _NAMESPACE], check=False, capture_output=True, timeout=20)


def test_another_machine_reaches_no_port(other_machine: list[str], ports: list[Port]) -> None:
    with closing(socket.create_server(("0.0.0.0", 0))) as open_to_all:
        reached = open_to_all.getsockname()[1]
        question = [_HERE, [reached, *(port.port for port in ports)]]
        assert json.loads(_run([*other_machine, sys.executable, "-c", _REACHES], question)) == [reached]


def test_the_token_is_in_no_command_line_no_log_and_no_database(stack: LocalStack, ports: list[Port]) -> None:
    token = stack.ray.token
    assert stack.ray.folder.joinpath("token").read_text() == token
    assert stack.ray.folder.joinpath("token").stat().st_mode & 0o777 == 0o600
    assert stack.ray.folder.stat().st_mode & 0o777 == 0o700
    assert [process for process in psutil.process_iter() if token in " ".join(_command(process))] == []
    kept = [path for folder in (stack.home, stack.ray.folder / "session") for path in folder.rglob("*")]
    files = [path for path in kept if path.is_file() and not path.is_symlink()]
    assert any(path.name == "noisy-student.db" for path in files)
    assert [path for path in files if token.encode() in path.read_bytes()] == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _run(command: list[str], question: object) -> str:
    done = subprocess.run(
        command, input=json.dumps(question), capture_output=True, text=True, timeout=180, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
