"""A proxy between the service and Ray's jobs API that misbehaves on demand."""

import json
import threading
from enum import StrEnum
from http.server import ThreadingHTTPServer
from types import TracebackType

import httpx

from benchmarks.support.loopback_handler import LoopbackHandler

_PASSED_ON = ("content-type", "accept", "authorization")


class Mood(StrEnum):
    """What the proxy does with a request."""

    PASS = "pass"
    ERROR = "error"
    """Responds with status 500."""
    HANG = "hang"
    """Accepts the request and does not respond."""
    FORGET = "forget"
    """Claims to know no job, and passes everything else on."""


class RayProxy:
    """A context manager that listens on a free loopback port. `mood` may change at any time."""

    def __init__(self, ray_url: str) -> None:
        self.mood = Mood.PASS
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.ray = httpx.Client(base_url=ray_url, timeout=30, trust_env=False)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "RayProxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.mood = Mood.PASS
        self._server.shutdown()
        self._server.server_close()
        self.ray.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: RayProxy


class _Handler(LoopbackHandler):
    server: _Server

    def serve(self, body: bytes) -> None:
        mood = self.server.proxy.mood
        if mood is Mood.HANG:
            while self.server.proxy.mood is Mood.HANG:
                threading.Event().wait(0.1)
            self.close_connection = True
            return
        if mood is Mood.ERROR:
            self.reply(500, b"Internal Server Error")
        elif mood is Mood.FORGET and self.path.startswith("/api/jobs/") and not self._is_submit():
            missing = self.path != "/api/jobs/"
            self.reply(404 if missing else 200, b"Job does not exist" if missing else json.dumps([]).encode())
        else:
            self._pass_on(body)

    def _is_submit(self) -> bool:
        return (self.command, self.path) == ("POST", "/api/jobs/")

    def _pass_on(self, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() in _PASSED_ON}
        try:
            answer = self.server.proxy.ray.request(self.command, self.path, content=body, headers=headers)
        except httpx.HTTPError as error:
            self.reply(502, f"Ray does not answer: {type(error).__name__}".encode())
            return
        self.reply(answer.status_code, answer.content)
