"""The common part of servers that stand in for Ray's jobs API."""

from http.server import BaseHTTPRequestHandler


class LoopbackHandler(BaseHTTPRequestHandler):
    """Keeps connections open, and passes every GET, POST and DELETE with its body to `serve`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._read_and_serve()

    def do_POST(self) -> None:
        self._read_and_serve()

    def do_DELETE(self) -> None:
        self._read_and_serve()

    def serve(self, body: bytes) -> None:
        """Responds to `self.command` on `self.path` by calling `reply`."""
        raise NotImplementedError

    def reply(self, status: int, content: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # the client has given up

    def log_message(self, *_: object) -> None:
        """Discards the access log."""

    def _read_and_serve(self) -> None:
        self.serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
