"""A private Ray cluster on this machine whose nodes can be killed. It leaves any other Ray on the machine alone."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import psutil

from noisy_student.local.owned_folder import OwnedFolder
from noisy_student.local.process_family import command_of, descendants, kill_all
from noisy_student.local.ray_head import free_ports

_START_TIMEOUT_SECONDS = 60.0
_OBJECT_STORE_BYTES = 100 << 20
_PORT_OPTIONS = (
    "--node-manager-port",
    "--object-manager-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--metrics-export-port",
)


class RayNode:
    """One node: `ray start --block` and its descendants. Raises TimeoutError if it does not start."""

    def __init__(self, options: list[str], log_path: Path, environment: Mapping[str, str]) -> None:
        ports = zip(_PORT_OPTIONS, free_ports(len(_PORT_OPTIONS)), strict=True)
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(str(Path(sys.executable).with_name("ray")), "start", "--block", "--node-ip-address=127.0.0.1"),
                    *(*options, *(f"{option}={port}" for option, port in ports), "--disable-usage-stats"),
                    *(f"--object-store-memory={_OBJECT_STORE_BYTES}", "--include-log-monitor=false"),
                ],
                env={**os.environ, **environment, "RAY_AUTH_MODE": "disabled"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._family: list[psutil.Process] = []
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while "Ray runtime started" not in log_path.read_text(errors="replace"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"a Ray node did not start: {log_path.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def actors(self) -> list[psutil.Process]:
        """The processes of Ray Data's actors, whose names contain their function."""
        return [
            process for process in descendants(self._process.pid) if command_of(process).startswith("ray::MapWorker")
        ]

    def preempt(self) -> None:
        """Sends SIGTERM, as Kubernetes does before it takes a pod away: the node drains, and then ends by itself."""
        self._family = descendants(self._process.pid)
        self._process.terminate()

    def kill(self) -> None:
        """Kills every process of the node with SIGKILL, as if the machine had been taken away."""
        self.kill_raylet()
        kill_all(self._family)

    def kill_raylet(self) -> None:
        """Kills the raylet (and the head's GCS) with SIGKILL. Drivers and actors must notice by themselves."""
        if self._process.poll() is None:
            self._family = descendants(self._process.pid)
        inner = [process for process in self._family if not command_of(process).startswith("ray::")]
        self._process.kill()
        kill_all(inner)
        self._process.wait(timeout=10)


class PrivateRay:
    """A context manager that starts a head with `num_cpus` on free ports, and ends everything started through it."""

    def __init__(self, num_cpus: int) -> None:
        self._num_cpus = num_cpus
        # Not within a test's own folder, because the paths of Ray's sockets may have at most 107 bytes.
        self._owned = OwnedFolder("ray-")
        self._nodes: list[RayNode] = []
        self.address = ""

    def __enter__(self) -> "PrivateRay":
        try:
            self._owned.make()
            self.start_head()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start_head(self) -> None:
        """Starts a new head, which knows nothing of one that was killed."""
        [port] = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        options = [
            "--head",
            f"--port={port}",
            f"--temp-dir={self._owned.path / str(port)}",
            "--labels=ray.io/node-group=headgroup",  # as KubeRay labels its head
            "--include-dashboard=false",
        ]
        self.head = self._start(self._num_cpus, options)

    def add_node(self, num_cpus: int, grace_seconds: float = 0.0) -> RayNode:
        """Starts a node that joins the head. `grace_seconds` is how long it drains before it ends on SIGTERM."""
        drains = {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(grace_seconds)}
        return self._start(num_cpus, [f"--address={self.address}"], drains)

    def stop(self) -> None:
        """Ends every process of every node."""
        for node in self._nodes:
            node.kill()
        self._owned.close()

    def _start(self, num_cpus: int, options: list[str], environment: Mapping[str, str] | None = None) -> RayNode:
        log_path = self._owned.path / f"node-{len(self._nodes)}.log"
        told = {**self._owned.environment, **(environment or {})}
        node = RayNode([*options, f"--num-cpus={num_cpus}"], log_path, told)
        self._nodes.append(node)
        return node
