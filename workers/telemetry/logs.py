"""The log lines of every process: plain for a terminal, or JSON objects that name their run and request."""

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType, TracebackType
from typing import Any

from workers.specs.telemetry import LogFormat

_PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_CONTEXT: ContextVar[Mapping[str, str | int]] = ContextVar("log_context", default=MappingProxyType({}))
_REQUEST_ID = "request_id"


def configure_logging(log_format: LogFormat, component: str, **always: str | int | None) -> None:
    """Makes the root logger write lines from INFO on to stderr. Replaces the handlers that it had.

    A JSON line has the fields of Ray's own JSON lines (`asctime`, `levelname`, `name`, `message`, `process`,
    `exc_text`), `component`, what `always` gives, and those of `log_context`. An error that nothing catches is one too.
    """
    handler = logging.StreamHandler()
    if log_format == "json":
        from pythonjsonlogger.json import JsonFormatter  # not where lines are plain, as in a stage on a laptop

        fields = ["asctime", "levelname", "name", "message", "process"]
        handler.setFormatter(JsonFormatter(fields, rename_fields={"exc_info": "exc_text"}))
        add_to_records(component=component, **always)
        sys.excepthook = _log_uncaught
        threading.excepthook = _log_uncaught_in_thread
        logging.captureWarnings(True)
    else:
        handler.setFormatter(logging.Formatter(_PLAIN))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def add_to_records(**always: str | int | None) -> None:
    """Gives every record of this process these fields and those of `log_context`, whichever handler writes it."""
    fixed = _known(always)

    def record_with_fields(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = logging.LogRecord(*arguments, **options)
        record.__dict__.update({**fixed, **_CONTEXT.get()})
        return record

    logging.setLogRecordFactory(record_with_fields)


@contextmanager
def log_context(**fields: str | int | None) -> Iterator[None]:
    """Adds fields to the JSON lines of this thread or task, and of threads that anyio starts for it. Not those of None.

    The inner one of two contexts wins.
    """
    token = _CONTEXT.set({**_CONTEXT.get(), **_known(fields)})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def begin_log_context(**fields: str | int | None) -> None:
    """Adds fields as `log_context` does, for the rest of this task: also for whoever logs an error that leaves it."""
    _CONTEXT.set({**_CONTEXT.get(), **_known(fields)})


def current_request_id() -> str | None:
    """The id of the request that is being answered here; None outside of one."""
    found = _CONTEXT.get().get(_REQUEST_ID)
    return None if found is None else str(found)


def _known(fields: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in fields.items() if value is not None}


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None, where: str = "the process"
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger("uncaught").critical("%s ends with an error", where, exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        where = f"the thread {failed.thread.name}" if failed.thread else "a thread"
        _log_uncaught(failed.exc_type, failed.exc_value, failed.exc_traceback, where)
