"""Runs an inspector process: starts it, gives it jobs, watches it, and kills it if it exceeds a limit."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil

from service.config.inspector_limits import InspectorLimits
from service.datasets.registration.messages import (
    ANSWER,
    Answer,
    Job,
    too_much_memory,
)

_LOOK_SECONDS = 0.1
"""How often to check the process's memory."""
_REAP_SECONDS = 2.0
_SPARE_BYTES = 256 << 20
"""How much the process may hold beyond its limit before it is killed: libraries and mapped files do not count."""
_MOST_ANSWER_BYTES = 64 << 20
_OWN_SETTINGS = ("NOISY_STUDENT_", "RAY_AUTH_", "PG")
_ENVIRONMENT = {
    # An allocator that returns memory at once and reserves none, so that the limit applies to what is used.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "OPENBLAS_NUM_THREADS": "1",
}


class InspectionFailed(Exception):
    """The process crashed, was killed or ran out of time, and takes no more jobs. The message is for the caller."""


class InspectorProcess:
    """An inspector process. Not thread-safe.

    Create it in a thread that lives as long as this process, because the child ends together with that thread.
    """

    def __init__(self, limits: InspectorLimits) -> None:
        self._limits = limits
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "service.datasets.registration.inspector"),
                    *(str(theirs.fileno()), str(limits.memory_bytes), str(os.getpid())),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
            )
        self.jobs = 0
        """How many jobs the process has been given."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def resident_bytes(self) -> int:
        """The process's resident memory in bytes; 0 if it has ended."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def ask(self, job: Job) -> Answer:
        """Gives the process a job and returns its answer. Raises InspectionFailed; the process is gone then."""
        self.jobs += 1
        deadline = time.monotonic() + self._limits.seconds
        try:
            return ANSWER.validate_json(self._exchange(job.model_dump_json().encode() + b"\n", deadline))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Kills the process."""
        self._process.kill()
        self._socket.close()
        self._exit_code()

    def _exchange(self, line: bytes, deadline: float) -> bytes:
        try:
            self._socket.settimeout(self._limits.seconds)
            self._socket.sendall(line)
            return self._line(deadline)
        except TimeoutError as error:
            raise InspectionFailed(self._too_late()) from error
        except OSError as error:
            raise InspectionFailed(self._ended()) from error

    def _line(self, deadline: float) -> bytes:
        received = bytearray()
        self._socket.settimeout(_LOOK_SECONDS)
        while not received.endswith(b"\n"):
            if time.monotonic() > deadline:
                raise InspectionFailed(self._too_late())
            if self.resident_bytes > self._limits.memory_bytes + _SPARE_BYTES:
                raise InspectionFailed(too_much_memory(self._limits.memory_bytes))
            try:
                chunk = self._socket.recv(1 << 20)
            except TimeoutError:
                continue
            received += chunk
            if not chunk or len(received) > _MOST_ANSWER_BYTES:
                raise InspectionFailed(self._ended())
        return bytes(received)

    def _too_late(self) -> str:
        return (
            f"cannot be inspected: it takes longer than {self._limits.seconds:g} s (storage that does not answer, or "
            "very many files); where that is what it needs, raise the setting registration.timeout_seconds"
        )

    def _ended(self) -> str:
        code = self._exit_code()
        how = "ended without an answer"
        if code is not None and code < 0:
            how = f"was ended by {_signal_name(-code)}"
        return f"cannot be inspected: the process that read it {how}; a file in it is damaged, encrypted or hostile"

    def _exit_code(self) -> int | None:
        try:
            return self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:  # a process that waits for a lost mount cannot even be killed
            return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment() -> dict[str, str]:
    """Returns this process's environment without what only the service needs, such as the database and Ray's token.

    The credentials of object stores stay in it.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_SETTINGS)}
    return inherited | _ENVIRONMENT
