"""A whole stack on one machine: a Ray head, the API and the reconciler as child processes, with SQLite and a folder."""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from noisy_student.local.process_family import has_living_child, kill_marked, stop_tree
from noisy_student.local.ray_head import RayHead, free_ports
from noisy_student.local.stack_key import StackKey
from service.port_owner import is_anothers
from service.private_files import PRIVATE_UMASK, make_private_folder, open_private_log, with_private_umask
from service.settings import Settings, wrong_settings

_START_TIMEOUT_SECONDS = 90.0
_BACKLOG = 1024
_SHORT_LIFE_SECONDS = 20.0
"""A Ray head takes about six seconds to start, so one that ends sooner than this has hardly started."""
_SHORT_LIVES = 3
"""How many such ends in a row count as a fault rather than an accident."""
_MARK = "NOISY_STUDENT_STACK_PART"
"""The environment variable that all descendants of the Ray head inherit, by which they are found once it is gone."""


class StackError(Exception):
    """A part of the stack did not start. The message says where to read why."""


class LocalStack:
    """A context manager that runs a private Ray head, the API and the reconciler. They end even if it is killed.

    All ports are on loopback, and all but the API's are chosen from the free ones. Another Ray on the machine is left
    alone (`ray stop` would end it too). Logs go to `home/logs`. `settings` are environment variables for the API and
    the reconciler that override the stack's own.
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
        self._mark = uuid.uuid4().hex
        self.ray = RayHead(num_cpus or max(2, os.cpu_count() or 2))
        self.api_url = f"http://127.0.0.1:{api_port or free_ports(1)[0]}"
        self._key = StackKey(self.api_url)
        self.dashboard_url = self.ray.dashboard_url
        self.ray_address = self.ray.address
        self._announce = announce
        self.settings = dict(settings or {})
        self._listener: socket.socket | None = None
        """The API's socket. The stack holds it from before the start until the key is revoked, even while the API
        restarts. If the port were free in between, another user could listen there and receive the key."""
        self._children: dict[str, subprocess.Popen[bytes]] = {}
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
        """Starts all three processes and returns when they respond. Raises StackError if one does not."""
        self._listener = self._listen()
        try:
            make_private_folder(self.home)
            make_private_folder(self.home / "logs")
        except OSError as error:
            raise StackError(f"{self.home} cannot be used as home: {error}") from error
        self.start_ray()
        self._make_key()
        self.start_api()
        self.wait_for_api()
        self._keep_key()
        self.start_reconciler()
        self._wait_for("Ray's jobs API", f"{self.dashboard_url}/api/version", "ray", self.ray.headers)

    def start_ray(self) -> None:
        """Starts the Ray head on this stack's ports."""
        self._ray_started_at = time.monotonic()
        self._had_a_node = False
        if any(is_anothers(f"http://127.0.0.1:{port}") for port in self.ray.ports):
            raise StackError("another user's program has taken a port of this stack's Ray: start again")
        self.ray.make_folder()
        self._spawn("ray", self.ray.command(), {**self.environment(), **self.ray.head_environment(), _MARK: self._mark})

    def start_api(self) -> None:
        """Starts the API."""
        assert self._listener is not None, "the stack has not been started"
        descriptor = self._listener.fileno()
        self._spawn("api", [sys.executable, "-m", "api", str(descriptor)], self.service_environment(), [descriptor])

    def start_reconciler(self) -> None:
        """Starts the reconciler."""
        self._spawn("reconciler", [sys.executable, "-m", "service.reconcile"], self.service_environment())

    def wait_for_api(self) -> None:
        """Returns when the API responds. Raises StackError if it does not."""
        self._wait_for("the API", f"{self.api_url}/healthz", "api")

    def pid_of(self, name: str) -> int:
        """The process id of `ray`, `api` or `reconciler`."""
        return self._children[name].pid

    def supervise(self) -> None:
        """Restarts processes that have ended. Call it every second. Raises StackError if the Ray head keeps ending."""
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
        """Whether the head still runs without its raylet, in which case it would refuse every job forever.

        `ray start --block` ends if its raylet was killed, but not if the raylet ended by SIGTERM, which it takes for
        intended.
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
        # Drivers and workers outlive their head for a while, and would keep its CPUs and ports.
        kill_marked(_MARK, self._mark)
        self.start_ray()

    def stop(self) -> None:
        """Stops what this stack started, and nothing else: reconciler, API, then Ray with all its processes."""
        for name in ("reconciler", "api", "ray"):
            child = self._children.pop(name, None)
            if child is not None:
                stop_tree(child)
        self.ray.remove_folder()
        self._key.end()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def environment(self) -> dict[str, str]:
        """The variables that all child processes get in addition to this process's environment."""
        return {
            **self.ray.driver_environment(),
            "NOISY_STUDENT_HOME": str(self.home),
            "NOISY_STUDENT_SERVER__HOST": "127.0.0.1",
            "NOISY_STUDENT_SERVER__PORT": self.api_url.rpartition(":")[2],
            "NOISY_STUDENT_RAY__JOBS_URL": self.dashboard_url,
            "NOISY_STUDENT_RAY__PYTHON_EXECUTABLE": sys.executable,
            # Lines that the stages log reach the job's log at once.
            "PYTHONUNBUFFERED": "1",
        }

    def service_environment(self) -> dict[str, str]:
        """The variables that the API and the reconciler get in addition to this process's environment."""
        return {
            **self.environment(),
            "NOISY_STUDENT_RAY__AUTH_TOKEN": self.ray.token,
            "NOISY_STUDENT_RAY__IS_OWN": "true",
            "NOISY_STUDENT_ACCESS__AUTHENTICATION": "true",
            # The key's holder is this user, who may read these files anyway.
            "NOISY_STUDENT_DATASETS__ANYWHERE": "true",
            "NOISY_STUDENT_ACCESS__ALLOWED_HOSTS": '["localhost"]',
            # There is no proxy in front, so no header may say where a request comes from, not even from loopback.
            "FORWARDED_ALLOW_IPS": os.environ.get("FORWARDED_ALLOW_IPS", ""),
            **self.settings,
        }

    @property
    def api_key(self) -> str:
        """The API key, valid until the stack stops. The command line finds and sends it by itself."""
        return self._key.text

    @property
    def api_headers(self) -> dict[str, str]:
        """The API key as request headers."""
        return {"Authorization": f"Bearer {self.api_key}"}

    def _make_key(self) -> None:
        environment = {**os.environ, **self.service_environment()}
        try:
            settings = Settings(home=self.home, database_url=environment.get("NOISY_STUDENT_DATABASE_URL", ""))
        except ValidationError as error:
            raise StackError("; ".join(wrong_settings(error))) from error
        with with_private_umask():
            self._key.make(settings.database_url)

    def _keep_key(self) -> None:
        try:
            self._key.keep()
        except OSError as error:
            raise StackError(f"the key cannot be left for the command line: {error}; set XDG_STATE_HOME") from error

    def _listen(self) -> socket.socket:
        parts = urlsplit(self.api_url)
        try:
            return socket.create_server((parts.hostname or "", parts.port or 0), backlog=_BACKLOG)
        except OSError as error:
            raise StackError(f"port {parts.port} cannot be used: {error.strerror}; --port takes another") from error

    def _spawn(
        self, name: str, command: list[str], environment: Mapping[str, str], descriptors: Sequence[int] = ()
    ) -> None:
        path = self._log_path(name)
        with open_private_log(path) as log:
            self._children[name] = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
                # Ctrl-C then reaches only this process, which stops the others in order.
                start_new_session=True,
                # Files that they and their children create are private to this user.
                umask=PRIVATE_UMASK,
            )

    def _wait_for(self, what: str, url: str, name: str, headers: Mapping[str, str] | None = None) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if self._children[name].poll() is not None:
                break
            try:
                if is_anothers(url):
                    raise StackError(f"{what} cannot start: another user's program has taken its port, {url}")
                if httpx.get(url, headers=headers, timeout=2, trust_env=False).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise StackError(f"{what} did not start; the last lines of {self._log_path(name)}:\n{self._log_end(name)}")

    def _log_path(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def _log_end(self, name: str) -> str:
        return "\n".join(self._log_path(name).read_text(errors="replace").splitlines()[-15:])
