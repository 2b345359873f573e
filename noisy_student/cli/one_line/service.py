"""Finds the service at an address, or starts one for as long as the command runs."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from noisy_student.cli.extras import missing_from
from noisy_student.cli.options import DEFAULT_API
from noisy_student.client import Client
from noisy_student.errors import ApiError, Unreachable
from service.private_files import PRIVATE_UMASK

HOME = Path("noisy-student-data")
_PORT = 8000


@dataclass(frozen=True)
class FoundService:
    """A client of the service, and what to call about every second so that a service of this command stays alive."""

    client: Client
    is_own: bool
    """Whether this command has started it, so that it ends with the command."""
    supervise: Callable[[], None]


@contextmanager
def service_at(api: str, say: Callable[[str], None]) -> Iterator[FoundService]:
    """The service at that address. If nothing responds at the default address, starts one on this machine.

    It keeps everything in the folder that `noisy-student up` keeps it in, and ends with this context. Raises ApiError,
    also if the packages that a service needs are not installed.
    """
    try:
        with Client(api, retries=0) as probe:
            probe.service.health()
    except Unreachable:
        if api.rstrip("/") != DEFAULT_API or missing_from("all"):
            raise
    else:
        with Client(api) as client:
            yield FoundService(client, is_own=False, supervise=lambda: None)
        return

    from noisy_student.local.stack import LocalStack, StackError

    say(f"no service answers at {api}: starting one for this run, with its data in {HOME} (noisy-student up keeps one)")
    os.umask(PRIVATE_UMASK)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with LocalStack(HOME, api_port=_PORT, announce=say) as stack, Client(stack.api_url, stack.api_key) as client:
            yield FoundService(client, is_own=True, supervise=stack.supervise)
    except StackError as error:
        raise ApiError(str(error)) from error


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
