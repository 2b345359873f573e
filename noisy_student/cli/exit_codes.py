"""The exit codes of the command line, and what each tells a script."""

from collections.abc import Mapping
from enum import IntEnum

from noisy_student.errors import (
    ApiError,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
    WaitTimedOut,
)
from service.lifecycle.states import RunState


class ExitCode(IntEnum):
    """How a command ended. A script that tests only for zero needs none of the others."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    NO_ACCESS = 5
    UNREACHABLE = 6
    RUN_FAILED = 7
    RUN_GATED = 8
    RUN_CANCELLED = 9
    TIMED_OUT = 124
    INTERRUPTED = 130


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.OK: "done; of a command that waits for a run: the run succeeded",
    ExitCode.ERROR: "anything else, such as a file that cannot be read or an answer that is not this API's",
    ExitCode.USAGE: "wrong use of the command: an unknown option, a missing argument, an extra that is not installed",
    ExitCode.NOT_FOUND: "the run, dataset, model or other object does not exist, or the key may not see it",
    ExitCode.REFUSED: "the service refuses the request: a field is invalid, or the present state forbids it",
    ExitCode.NO_ACCESS: "the key is missing or invalid, or may not do this",
    ExitCode.UNREACHABLE: "no service answers, or it asks to come back later",
    ExitCode.RUN_FAILED: "the run failed",
    ExitCode.RUN_GATED: "the run's gate accepts no further teacher, so the run ended early",
    ExitCode.RUN_CANCELLED: "someone cancelled the run",
    ExitCode.TIMED_OUT: "the time to wait is over; the run continues",
    ExitCode.INTERRUPTED: "Ctrl-C",
}
"""The table of docs/client.md; a test compares them."""

_OF_ERRORS: Mapping[type[ApiError], ExitCode] = {
    NotFound: ExitCode.NOT_FOUND,
    InvalidRequest: ExitCode.REFUSED,
    Conflict: ExitCode.REFUSED,
    Unauthorized: ExitCode.NO_ACCESS,
    Forbidden: ExitCode.NO_ACCESS,
    Unreachable: ExitCode.UNREACHABLE,
    TooManyRequests: ExitCode.UNREACHABLE,
    Unavailable: ExitCode.UNREACHABLE,
    WaitTimedOut: ExitCode.TIMED_OUT,
}
_OF_STATES: Mapping[str, ExitCode] = {
    RunState.FAILED: ExitCode.RUN_FAILED,
    RunState.GATED: ExitCode.RUN_GATED,
    RunState.CANCELLED: ExitCode.RUN_CANCELLED,
}


def code_of_error(error: ApiError) -> ExitCode:
    """The exit code of a command that an error ends."""
    return _OF_ERRORS.get(type(error), ExitCode.ERROR)


def code_of_state(state: str) -> ExitCode:
    """The exit code of a command that has waited for a run and found it in this state."""
    return _OF_STATES.get(state, ExitCode.OK)
