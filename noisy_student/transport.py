"""Carries out the steps of a call over HTTP, for the sync client and for the async client."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, closing
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from noisy_student.connection import Connection
from noisy_student.errors import ApiError, unreachable
from noisy_student.steps import (
    Answered,
    Emit,
    Listen,
    NextLine,
    Request,
    Result,
    Save,
    Send,
    Sleep,
    Step,
    Steps,
    Work,
)

if TYPE_CHECKING:
    import httpx  # takes half of the client's import time, and is not needed before the first client exists


_BLOCK_BYTES = 1 << 20


class SyncTransport:
    """Carries out steps with a blocking HTTP client. It is not thread-safe."""

    def __init__(self, connection: Connection) -> None:
        import httpx

        self.connection = connection
        self._http = httpx.Client(**_options(connection))

    def close(self) -> None:
        self._http.close()

    def carry_out(self, steps: Steps[Result]) -> Result:
        """Carries out the steps and returns their result. Raises ApiError."""
        walk = _Walk(steps)
        for _ in self._walk(walk):
            pass
        return walk.result

    def iterate(self, steps: Steps[None]) -> Iterator[Any]:
        """Carries out the steps and yields what they emit. Raises ApiError."""
        return self._walk(_Walk(steps))

    def _walk(self, walk: "_Walk[Any]") -> Iterator[Any]:
        with closing(walk), ExitStack() as opened:
            lines: Iterator[str] = iter(())
            while (step := walk.step) is not None:
                if isinstance(step, Emit):
                    yield step.value
                    walk.go_on(None)
                    continue
                try:
                    if isinstance(step, Listen):
                        opened.close()
                        response = opened.enter_context(self._http.stream(**_arguments(step.request, self._http)))
                        lines = response.iter_lines()
                        came: Any = _answered(response, response.read() if response.is_error else b"")
                    else:
                        came = self._take(step, lines)
                except _transport_errors() as error:
                    walk.fail(unreachable(self.connection.api, error))
                except OSError as error:
                    walk.fail(error)
                else:
                    walk.go_on(came)

    def _take(self, step: Step, lines: Iterator[str]) -> Any:
        match step:
            case Send(request):
                response = self._http.request(**_arguments(request, self._http))
                return _answered(response, response.content)
            case Save(request, path):
                with self._http.stream(**_arguments(request, self._http)) as response:
                    if response.is_error:
                        return _answered(response, response.read())
                    with path.open("wb") as file:
                        for block in response.iter_bytes(_BLOCK_BYTES):
                            file.write(block)
                    return _answered(response, b"")
            case Work(function):
                return function()
            case NextLine():
                return next(lines, None)
            case Sleep(seconds):
                return time.sleep(seconds)
        raise AssertionError(step)


class AsyncTransport:
    """Carries out steps with an asyncio HTTP client. It works within one event loop."""

    def __init__(self, connection: Connection) -> None:
        import httpx

        self.connection = connection
        self._http = httpx.AsyncClient(**_options(connection))

    async def close(self) -> None:
        await self._http.aclose()

    async def carry_out(self, steps: Steps[Result]) -> Result:
        """Carries out the steps and returns their result. Raises ApiError."""
        walk = _Walk(steps)
        async for _ in self._walk(walk):
            pass
        return walk.result

    def iterate(self, steps: Steps[None]) -> AsyncIterator[Any]:
        """Carries out the steps and yields what they emit. Raises ApiError."""
        return self._walk(_Walk(steps))

    async def _walk(self, walk: "_Walk[Any]") -> AsyncIterator[Any]:
        with closing(walk):
            async with AsyncExitStack() as opened:
                lines: AsyncIterator[str] | None = None
                while (step := walk.step) is not None:
                    if isinstance(step, Emit):
                        yield step.value
                        walk.go_on(None)
                        continue
                    try:
                        if isinstance(step, Listen):
                            await opened.aclose()
                            stream = self._http.stream(**_arguments(step.request, self._http))
                            response = await opened.enter_async_context(stream)
                            lines = response.aiter_lines()
                            came: Any = _answered(response, await response.aread() if response.is_error else b"")
                        else:
                            came = await self._take(step, lines)
                    except _transport_errors() as error:
                        walk.fail(unreachable(self.connection.api, error))
                    except OSError as error:
                        walk.fail(error)
                    else:
                        walk.go_on(came)

    async def _take(self, step: Step, lines: AsyncIterator[str] | None) -> Any:
        match step:
            case Send(request):
                response = await self._http.request(**_arguments(request, self._http))
                return _answered(response, response.content)
            case Save(request, path):
                async with self._http.stream(**_arguments(request, self._http)) as response:
                    if response.is_error:
                        return _answered(response, await response.aread())
                    with path.open("wb") as file:
                        async for block in response.aiter_bytes(_BLOCK_BYTES):
                            await asyncio.to_thread(file.write, block)
                    return _answered(response, b"")
            case Work(function):
                return await asyncio.to_thread(function)
            case NextLine():
                return None if lines is None else await anext(lines, None)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
        raise AssertionError(step)


Way = TypeVar("Way", SyncTransport, AsyncTransport)


class _Walk(Generic[Result]):
    """The state of a call: `step` is the next one, or None at the end, when `result` is set."""

    result: Result

    def __init__(self, steps: Steps[Result]) -> None:
        self._steps = steps
        self.step: Step | None = None
        self.go_on(None)

    def go_on(self, came: Any) -> None:
        """Continues with the outcome of the current step."""
        try:
            self.step = self._steps.send(came)
        except StopIteration as end:
            self.step, self.result = None, end.value

    def fail(self, error: ApiError | OSError) -> None:
        """Continues with the error with which the current step failed."""
        try:
            self.step = self._steps.throw(error)
        except StopIteration as end:
            self.step, self.result = None, end.value

    def close(self) -> None:
        """Ends the call, so that its steps can clean up."""
        self._steps.close()


def _options(connection: Connection) -> dict[str, Any]:
    import httpx

    timeout = httpx.Timeout(connection.timeout_seconds, connect=connection.connect_timeout_seconds)
    return {
        "base_url": connection.api,
        "headers": connection.headers,
        "timeout": timeout,
        "trust_env": not connection.is_on_this_machine,
        "verify": _tls_context(connection),
    }


def _tls_context(connection: Connection) -> "ssl.SSLContext | bool":
    """The TLS context for the connection's files. Raises ApiError if a file is missing or is not a certificate."""
    tls = connection.tls
    if tls.ca_file is None and tls.client_certificate is None:
        return True
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.client_certificate is not None:
            context.load_cert_chain(tls.client_certificate, tls.client_key)
    except OSError as error:  # includes ssl.SSLError
        files = ", ".join(str(file) for file in (tls.ca_file, tls.client_certificate, tls.client_key) if file)
        raise ApiError(f"the TLS files cannot be used ({error}): {files}") from error
    return context


def _transport_errors() -> tuple[type[Exception], ...]:
    import httpx

    return (httpx.TransportError, httpx.InvalidURL)


def _arguments(request: Request, http: "httpx.Client | httpx.AsyncClient") -> dict[str, Any]:
    import httpx

    given, usual = request.timeout_seconds, http.timeout
    return {
        "method": request.method,
        "url": request.path,
        "params": dict(request.query),
        "headers": dict(request.headers),
        "content": request.body,
        "timeout": usual if given is None else httpx.Timeout(given, connect=usual.connect),
    }


def _answered(response: "httpx.Response", content: bytes) -> Answered:
    return Answered(response.status_code, response.headers, content)
