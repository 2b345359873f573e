"""How a private Ray head is started: on loopback only, and behind a new token."""

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
    # Ray's metrics exporters cannot require a token. A setting turns off the agent's. The dashboard's is off only if
    # its port is invalid, which it logs once as an error.
    "RAY_enable_metrics_collection": "0",
    "DASHBOARD_METRIC_PORT": "-1",
}
_ON_LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo"}
"""The interface over which training workers communicate. Without it, gloo takes the address of the host name."""


class RayHead:
    """The ports, folder, token and command of one head. It starts nothing itself.

    The folder belongs to this stack only. In Ray's default folder the newest head replaces the address of all others,
    so this head's jobs would join that one. The folder's path is short, because socket paths must be.
    """

    def __init__(self, num_cpus: int) -> None:
        self.token = secrets.token_hex(32)
        self._owned = OwnedFolder("ray-")
        self._num_cpus = num_cpus
        self._ports = dict(zip(_PORT_OPTIONS, free_ports(len(_PORT_OPTIONS)), strict=True))

    @property
    def folder(self) -> Path:
        """The folder of the token and of the files that Ray needs while it runs."""
        return self._owned.path

    @property
    def ports(self) -> list[int]:
        """All ports that the head listens on, except those of its workers."""
        return list(self._ports.values())

    @property
    def address(self) -> str:
        """The address at which drivers join."""
        return f"127.0.0.1:{self._ports['--port']}"

    @property
    def dashboard_url(self) -> str:
        """The URL of the dashboard and the jobs API, which require the token."""
        return f"http://127.0.0.1:{self._ports['--dashboard-port']}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request to the dashboard, with the token."""
        return {"Authorization": f"Bearer {self.token}"}

    def make_folder(self) -> None:
        """Creates the folder with the token, unless it exists already. Raises OSError if the name is taken."""
        if self._token_path.exists():
            return
        self._owned.make()
        write_private_file(self._token_path, self.token)

    def remove_folder(self) -> None:
        """Removes the folder with the token, and ends all remaining processes that joined this head."""
        self._owned.close()

    def command(self) -> list[str]:
        """The command that starts the head and runs as long as the head does."""
        ports = [str(item) for pair in self._ports.items() for item in pair]
        return [
            *(sys.executable, "-m", "workers.runtime.private_head", "start", "--head", "--block", *ports),
            *("--dashboard-host", "127.0.0.1", "--num-cpus", str(self._num_cpus)),
            *("--object-store-memory", str(_OBJECT_STORE_BYTES), "--disable-usage-stats"),
            # No node joins this head, so it needs no autoscaler, whose port shows metrics to anyone.
            *("--no-monitor", "--include-log-monitor", "false", "--temp-dir", str(self._owned.path / "session")),
        ]

    def head_environment(self) -> dict[str, str]:
        """The environment of the head, which its workers inherit.

        A worker may ask for the head's address again, as Ray Train's cleaner of placement groups does. Without
        RAY_ADDRESS it would fail beside another Ray on the machine, and the CPUs of a stopped trial would stay taken.
        """
        return {**self.driver_environment(), **_QUIET, **_ON_LOOPBACK, "RAY_ADDRESS": self.address}

    def driver_environment(self) -> dict[str, str]:
        """The environment of every process that joins this head. It names the token's file, not the token."""
        return {
            **self._owned.environment,
            # So that their temporary files disappear with this folder.
            "TMPDIR": str(self._owned.path),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self._token_path),
            # It would take precedence over the file.
            "RAY_AUTH_TOKEN": "",  # nosec B105: no password
            # Ray accepts 127.0.0.1 as a node's address only if it assumes no cluster, as on a Mac. Then all of its
            # servers listen only there. With any other address they listen on all interfaces.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    @property
    def _token_path(self) -> Path:
        return self._owned.path / "token"


def free_ports(count: int) -> list[int]:
    """Distinct loopback ports on which nothing listens at the moment."""
    with ExitStack() as held:
        sockets = [held.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
