"""Another user of the machine, whose program listens where one of the service's was expected."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_LISTENING = """
import os, socket, sys
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
family = socket.AF_INET6 if ":" in sys.argv[3] else socket.AF_INET
listener = socket.create_server((sys.argv[3], 0), family=family, dualstack_ipv6=family == socket.AF_INET6)
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def stranger_at(address: str) -> Iterator[int]:
    """Lets another user's program listen at the address, and yields the port."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    other = pwd.getpwnam("nobody")
    command = [sys.executable, "-c", _LISTENING, str(other.pw_uid), str(other.pw_gid), address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()
        process.wait(timeout=20)
