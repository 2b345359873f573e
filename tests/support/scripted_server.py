"""A real HTTP server on loopback that sends the test's responses in turn and records the requests."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.served import served


@dataclass(frozen=True)
class Said:
    """One response. With status 0, the server closes the connection without a response."""

    status: int
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class ScriptedServer:
    """Records requests in `asked`. After its last response it repeats that one."""

    def __init__(self, says: Sequence[Said]) -> None:
        self.asked: list[Asked] = []
        self._says = list(says)
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                scripted.asked.append(Asked(self.command, self.path, dict(self.headers), body))
                said = scripted._says.pop(0) if len(scripted._says) > 1 else scripted._says[0]
                if not said.status:
                    self.close_connection = True
                    return
                self.send_response(said.status)
                for name, value in {"Content-Type": "application/json", **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said.body if isinstance(said.body, bytes) else said.body.encode())
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Discards the access log."""

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@contextmanager
def scripted_server(*says: Said) -> Iterator[ScriptedServer]:
    server = ScriptedServer(says)
    with served(server.http):
        yield server
