"""What others can reach of the local stack: `python -m benchmarks.control_plane.open_doors`, or `make benchmark-trust`.

It starts the stack, trains a teacher with two workers, and meanwhile records which ports the processes listen on, on
which addresses, and what each port answers to a caller without a token.
"""

import json
import shutil
import socket
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import httpx
import psutil

from benchmarks.results import row, save
from noisy_student.client import Client
from noisy_student.local.demo.run import demo_run_config, register_digits
from noisy_student.local.stack import LocalStack
from service.lifecycle.states import UNFINISHED_RUNS
from service.settings import is_loopback

COMMAND = "make benchmark-trust"
_FOLDER = Path("build/trust")
_TIMEOUT_SECONDS = 3.0
_ASKED_OF_HTTP = (("GET", "/"), ("GET", "/metrics"), ("POST", "/api/job_agent/jobs/"), ("POST", "/api/jobs/"))
"""The requests to try: a front page, metrics, and the two ways to run a command."""
_ASKED_OF_GRPC = (
    "/ray.rpc.JobInfoGcsService/GetAllJobInfo",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ObjectManagerService/FreeObjects",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.ReporterService/GetTraceback",
    "/ray.rpc.RayletDriver/Init",
)
"""The gRPC methods to try: what each of Ray's servers would reveal, and the greeting of Ray Client."""


@dataclass(frozen=True)
class Port:
    """A listening port. `process` is the process that listens."""

    address: str
    port: int
    process: str

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        return is_loopback(self.address)

    @property
    def host(self) -> str:
        """The address at which to try the port. One that listens on all addresses is tried on loopback."""
        everywhere = self.address in ("::", "0.0.0.0")
        return "127.0.0.1" if everywhere else f"[{self.address}]" if ":" in self.address else self.address


def listening_ports(processes: Iterable[psutil.Process]) -> Iterator[Port]:
    """Yields the ports on which these processes listen at this moment."""
    for process in processes:
        try:
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    yield Port(connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port, _name(process))
        except psutil.Error:
            continue  # the process has ended


def answers_to_a_stranger(host: str, port: int) -> dict[str, str]:
    """The responses to a caller without a token, by request; empty if nothing responds."""
    try:
        socket.create_connection((host.strip("[]"), port), timeout=_TIMEOUT_SECONDS).close()
    except OSError:
        return {}
    return _answers_of_http(host, port) or _answers_of_grpc(host, port)


def gives_something(answers: dict[str, str]) -> bool:
    """Whether a caller without a token got more than a refusal or a front page that is the same for everyone."""
    refusals = {"401", "403", "404", "405", "UNAUTHENTICATED", "UNIMPLEMENTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
    return any(answer not in refusals for asked, answer in answers.items() if asked != "GET /")


def _answers_of_http(host: str, port: int) -> dict[str, str]:
    found = {}
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
        for method, path in _ASKED_OF_HTTP:
            body = {"entrypoint": "id"} if method == "POST" else None
            try:
                found[f"{method} {path}"] = str(client.request(method, path, json=body).status_code)
            except httpx.HTTPError:
                return {}
    return found


def _answers_of_grpc(host: str, port: int) -> dict[str, str]:
    found = {}
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        for method in _ASKED_OF_GRPC:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
            try:
                call(b"", timeout=_TIMEOUT_SECONDS)
                found[method] = "OK"
            except grpc.RpcError as error:
                found[method] = error.code().name
    return found


def _name(process: psutil.Process) -> str:
    words = [word for word in process.cmdline() if word]
    if "-m" in words:
        return words[words.index("-m") + 1]
    scripts = [
        Path(word).name for word in words if not word.startswith("-") and not word.endswith(("python", "python3"))
    ]
    return scripts[0].strip() if scripts else process.name()


def main() -> None:
    """Prints every port, and saves the row."""
    shutil.rmtree(_FOLDER, ignore_errors=True)
    seen: dict[Port, dict[str, str]] = {}
    with LocalStack(_FOLDER / "stack") as stack, Client(stack.api_url) as client:
        datasets = register_digits(client, _FOLDER / "digits", seed=0)
        run = client.runs.create({**demo_run_config(), "datasets": datasets, "student_models": [], "generations": 0})
        while run.state in UNFINISHED_RUNS:
            for port in listening_ports(psutil.Process().children(recursive=True)):
                if port not in seen:
                    seen[port] = answers_to_a_stranger(port.host, port.port)
            run = client.runs.get(run.id)
    beyond = [port for port in seen if not port.on_loopback]
    for port, answers in sorted(seen.items(), key=lambda item: item[0].on_loopback):
        print(json.dumps({**asdict(port), "on_loopback": port.on_loopback, "answers": answers}))
    speaking = [port for port, answers in seen.items() if gives_something(answers)]
    beside = f"of {len(seen)} that listen"
    save(
        [
            row("trust.listening_beyond_loopback", [len(beyond)], "ports", beside, COMMAND),
            row("trust.answering_without_a_token", [len(speaking)], "ports", beside, COMMAND),
        ]
    )


if __name__ == "__main__":
    main()
