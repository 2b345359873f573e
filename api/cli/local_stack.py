"""A whole stack on one machine: Ray head, API and reconciler as child processes, SQLite and a folder."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType

import httpx

from api.cli.process_family import has_living_child, kill_marked, stop_tree

_START_TIMEOUT_SECONDS = 90.0
_OBJECT_STORE_BYTES = 512 << 20
_SHORT_LIFE_SECONDS = 20.0
"""A Ray head takes some six seconds to start: one that ends sooner than this has hardly begun."""
_SHORT_LIVES = 3
"""So many in a row are no accident."""
_MARK = "NOISY_STUDENT_STACK_PART"
"""Inherited by all descendants of the Ray head, so that they are found when the head itself is gone."""
_RAY_PORT_OPTIONS = (
    "--port",
    "--dashboard-port",
    "--ray-client-server-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--metrics-export-port",
    "--node-manager-port",
    "--object-manager-port",
    "--runtime-env-agent-port",
)


class StackError(Exception):
    """A part of the stack did not start, and where to read why."""


class LocalStack:
    """Starts a private Ray head, the API and the reconciler, and stops what it started.

    A context manager. All ports are free ones on loopback but for the API's; nothing of another Ray on the machine
    is touched (`ray stop` would end that one too). Logs go to `home/logs`. `settings` are environment variables for
    API and reconciler, in the place of this stack's own.
    """

    def __init__(
        self,
        home: Path,
        api_port: int = 0,
        num_cpus: int | None = None,
        announce: Callable[[str], None] = print,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.resolve()
        ports = free_ports(len(_RAY_PORT_OPTIONS) + 1)
        self._ray_ports = dict(zip(_RAY_PORT_OPTIONS, ports[1:], strict=True))
        self.api_url = f"http://127.0.0.1:{api_port or ports[0]}"
        self.dashboard_url = f"http://127.0.0.1:{self._ray_ports['--dashboard-port']}"
        self.ray_address = f"127.0.0.1:{self._ray_ports['--port']}"
        self._num_cpus = num_cpus or max(2, os.cpu_count() or 2)
        self._announce = announce
        self.settings = dict(settings or {})
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._mark = uuid.uuid4().hex
        # Of its own: in Ray's usual folder, the newest head's address takes the place of all others', and the jobs of
        # this one would join that one. Short, because the paths of sockets must be.
        self._ray_folder = Path(tempfile.gettempdir()) / f"ray-{self._mark[:8]}"
        self._ray_started_at = 0.0
        self._short_lives = 0
        self._had_a_node = False

    def __enter__(self) -> "LocalStack":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts all three and returns when they answer. Raises StackError where one does not."""
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        self.start_ray()
        self.start_api()
        self.wait_for_api()
        self.start_reconciler()
        self._wait_for("Ray's jobs API", f"{self.dashboard_url}/api/version", "ray")

    def start_ray(self) -> None:
        """Starts the Ray head on this stack's ports."""
        self._ray_started_at = time.monotonic()
        self._had_a_node = False
        options = [str(item) for pair in self._ray_ports.items() for item in pair]
        self._spawn(
            "ray",
            [
                *(_executable("ray"), "start", "--head", "--block", "--node-ip-address", "127.0.0.1", *options),
                *("--dashboard-host", "127.0.0.1", "--num-cpus", str(self._num_cpus)),
                *("--object-store-memory", str(_OBJECT_STORE_BYTES), "--disable-usage-stats"),
                *("--include-log-monitor", "false", "--temp-dir", str(self._ray_folder)),
            ],
            {_MARK: self._mark},
        )

    def start_api(self) -> None:
        """Starts the API."""
        self._spawn("api", [sys.executable, "-m", "api"], self.settings)

    def start_reconciler(self) -> None:
        """Starts the reconciler."""
        self._spawn("reconciler", [sys.executable, "-m", "service.reconcile"], self.settings)

    def wait_for_api(self) -> None:
        """Returns when the API answers. Raises StackError where it does not."""
        self._wait_for("the API", f"{self.api_url}/healthz", "api")

    def pid_of(self, name: str) -> int:
        """The process id of `ray`, `api` or `reconciler`."""
        return self._children[name].pid

    def supervise(self) -> None:
        """Restarts what has died. Call it every second or so. Raises StackError for a Ray head that cannot live."""
        restart = {"ray": self._restart_ray, "api": self.start_api, "reconciler": self.start_reconciler}
        for name, start in restart.items():
            code = self._children[name].poll()
            if code is not None:
                self._announce(f"the {name} ended with code {code}; starting it again (log: {self._log_path(name)})")
                start()
        if self._has_lost_its_node():
            self._announce(f"the Ray head has lost its node; starting it again (log: {self._log_path('ray')})")
            stop_tree(self._children["ray"])
            self._restart_ray()

    def _has_lost_its_node(self) -> bool:
        """Whether the head lives on without its raylet, and would refuse every job for ever.

        `ray start --block` ends with a raylet that was killed, but takes one that ended by SIGTERM for one that was
        meant to.
        """
        has_node = has_living_child(self._children["ray"].pid, "raylet")
        lost = self._had_a_node and not has_node
        self._had_a_node = has_node
        return lost

    def _restart_ray(self) -> None:
        short = time.monotonic() - self._ray_started_at < _SHORT_LIFE_SECONDS
        self._short_lives = self._short_lives + 1 if short else 0
        if self._short_lives >= _SHORT_LIVES:
            raise StackError(f"the Ray head ends as soon as it is started; read {self._log_path('ray')}")
        # Drivers and workers outlive their head for a while, and would hold on to its CPUs and ports.
        kill_marked(_MARK, self._mark)
        self.start_ray()

    def stop(self) -> None:
        """Stops what this stack started, and nothing else: reconciler, API, then Ray with all its processes."""
        for name in ("reconciler", "api", "ray"):
            child = self._children.pop(name, None)
            if child is not None:
                stop_tree(child)
        kill_marked(_MARK, self._mark)
        shutil.rmtree(self._ray_folder, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """What the children are told, on top of this process's environment."""
        return {
            "NOISY_STUDENT_HOME": str(self.home),
            "NOISY_STUDENT_API_HOST": "127.0.0.1",
            "NOISY_STUDENT_API_PORT": self.api_url.rpartition(":")[2],
            "NOISY_STUDENT_RAY_JOBS_URL": self.dashboard_url,
            "NOISY_STUDENT_PYTHON_EXECUTABLE": sys.executable,
            # Set on purpose: left out, Ray may write a token to the user's home folder.
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            # Log lines of the stages reach the job's log as they are written.
            "PYTHONUNBUFFERED": "1",
        }

    def _spawn(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        with self._log_path(name).open("ab") as log:
            self._children[name] = subprocess.Popen(
                command,
                env={**os.environ, **self.environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches us alone; we stop them in order.
                start_new_session=True,
            )

    def _wait_for(self, what: str, url: str, name: str) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if self._children[name].poll() is not None:
                break
            try:
                if httpx.get(url, timeout=2).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise StackError(f"{what} did not start; the last lines of {self._log_path(name)}:\n{self._log_end(name)}")

    def _log_path(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def _log_end(self, name: str) -> str:
        return "\n".join(self._log_path(name).read_text(errors="replace").splitlines()[-15:])


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nothing listens on at this moment, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _executable(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise StackError(f"the command {name!r} is not installed beside {sys.executable}")
    return found
