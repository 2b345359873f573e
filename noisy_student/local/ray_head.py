"""What a private Ray head is started with: on loopback alone, and behind a token that is made with it."""

import secrets
import socket
import sys
from contextlib import ExitStack, closing
from pathlib import Path

from noisy_student.local.owned_folder import OwnedFolder
from service.private_files import write_private_file

_OBJECT_STORE_BYTES = 512 << 20
_PORT_OPTIONS = (
    "--port",
    "--dashboard-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--node-manager-port",
    "--object-manager-port",
    "--runtime-env-agent-port",
)
_QUIET = {
    # Ray's exporters of metrics ask for no token and cannot be made to. The agent's is left out when it is told so;
    # the dashboard's only when its port is none, of which it complains once in its log.
    "RAY_enable_metrics_collection": "0",
    "DASHBOARD_METRIC_PORT": "-1",
}
_ON_LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo"}
"""Where the workers of a training talk to each other; without it, gloo takes the address of the machine's name."""


class RayHead:
    """Ports, folder, token and command of one head. Starts nothing itself.

    Its folder is of this stack alone: in Ray's usual one, the newest head's address takes the place of all others',
    and the jobs of this one would join that one. Its path is short, because the paths of sockets must be.
    """

    def __init__(self, num_cpus: int) -> None:
        self.token = secrets.token_hex(32)
        self._owned = OwnedFolder("ray-")
        self._num_cpus = num_cpus
        self._ports = dict(zip(_PORT_OPTIONS, free_ports(len(_PORT_OPTIONS)), strict=True))

    @property
    def folder(self) -> Path:
        """Where Ray keeps what it needs while it runs, and the token is."""
        return self._owned.path

    @property
    def ports(self) -> list[int]:
        """All that it listens on, but for those of its workers."""
        return list(self._ports.values())

    @property
    def address(self) -> str:
        """Where drivers join."""
        return f"127.0.0.1:{self._ports['--port']}"

    @property
    def dashboard_url(self) -> str:
        """Where the dashboard and the jobs API answer to who has the token."""
        return f"http://127.0.0.1:{self._ports['--dashboard-port']}"

    @property
    def headers(self) -> dict[str, str]:
        """What a request to the dashboard needs."""
        return {"Authorization": f"Bearer {self.token}"}

    def make_folder(self) -> None:
        """Makes the folder, with the token in it, unless that is done. Raises OSError where the name is taken."""
        if self._token_path.exists():
            return
        self._owned.make()
        write_private_file(self._token_path, self.token)

    def remove_folder(self) -> None:
        """Removes it, with the token, and ends whatever is left of the processes that were told of this head."""
        self._owned.close()

    def command(self) -> list[str]:
        """Starts the head, and ends with it."""
        ports = [str(item) for pair in self._ports.items() for item in pair]
        return [
            *(sys.executable, "-m", "workers.runtime.private_head", "start", "--head", "--block", *ports),
            *("--dashboard-host", "127.0.0.1", "--num-cpus", str(self._num_cpus)),
            *("--object-store-memory", str(_OBJECT_STORE_BYTES), "--disable-usage-stats"),
            # A head that nobody joins needs no autoscaler, whose port shows its figures to anybody.
            *("--no-monitor", "--include-log-monitor", "false", "--temp-dir", str(self._owned.path / "session")),
        ]

    def head_environment(self) -> dict[str, str]:
        """For the head; its workers and drivers inherit it."""
        return {**self.driver_environment(), **_QUIET, **_ON_LOOPBACK}

    def driver_environment(self) -> dict[str, str]:
        """For every process that joins this head. The token itself is in its file alone."""
        return {
            **self._owned.environment,
            # What they leave in the temporary folder goes with this one.
            "TMPDIR": str(self._owned.path),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self._token_path),
            # It would go before the file.
            "RAY_AUTH_TOKEN": "",  # nosec B105: no password
            # Ray takes 127.0.0.1 for a node's address only where it thinks of no cluster, as on a Mac; and then all of
            # its servers listen there alone. With any other address they listen on all.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    @property
    def _token_path(self) -> Path:
        return self._owned.path / "token"


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nothing listens on at this moment, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
