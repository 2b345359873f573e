"""A stand-in for Grafana and Prometheus on loopback: both are healthy, and each panel is a page of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.served import served

PANEL = "a panel of Grafana"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/api/"):  # Grafana's /api/health, Prometheus's /api/v1/query
            kind, body = "application/json", '{"database": "ok", "status": "success"}'
        else:
            kind, body = "text/html", f"<!doctype html><title>Grafana</title><p>{PANEL}</p>"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Discards the access log."""


@contextmanager
def grafana_on_loopback() -> Iterator[str]:
    """Yields its address."""
    with served(ThreadingHTTPServer(("127.0.0.1", 0), _Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"
