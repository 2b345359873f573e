"""A webhook receiver: a real HTTP server on loopback that does what the test says."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.served import served

LOOPBACK = (ip_network("127.0.0.0/8"),)
"""The value of the setting webhooks.private_networks that permits deliveries to this receiver."""


@dataclass
class Receiver:
    """Responds as told, and remembers what it received."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    """The statuses of the next responses. After these it responds 204."""
    failing_runs: set[str] = field(default_factory=set)
    verifier: Webhook | None = None
    """The verifier of the Standard Webhooks library. A delivery that it rejects gets a 401."""
    location: str = ""
    dawdle: threading.Event | None = None
    """If set, the receiver holds the connection and sends only a byte now and then until the event is set."""
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.received]


class ReceiverServer(ThreadingHTTPServer):
    daemon_threads = True
    receiver = Receiver()


class ReceiverHandler(BaseHTTPRequestHandler):
    server: ReceiverServer

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver.received.append((dict(self.headers), body))
        if receiver.dawdle is not None:
            try:
                while not receiver.dawdle.wait(0.02):
                    self.wfile.write(b"H")
            except OSError:
                pass
            return
        status = receiver.answers.pop(0) if receiver.answers else 204
        if json.loads(body)["run_id"] in receiver.failing_runs:
            status = 500
        if receiver.verifier is not None and not _is_vouched_for(receiver.verifier, body, dict(self.headers)):
            status = 401
        self.send_response(status)
        if receiver.location:
            self.send_header("Location", receiver.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Discards the access log."""


def _is_vouched_for(verifier: Webhook, body: bytes, headers: dict[str, str]) -> bool:
    try:
        verifier.verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


@contextmanager
def serving(port: int = 0, certificate: Path | None = None) -> Iterator[ReceiverServer]:
    """Runs the server in a thread of its own until the end of the context, with TLS if there is a certificate."""
    server = ReceiverServer(("127.0.0.1", port), ReceiverHandler)
    scheme = "http"
    if certificate is not None:
        scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.receiver = Receiver(url=f"{scheme}://127.0.0.1:{server.server_address[1]}/hook?of=tests")
    with served(server):
        yield server


def self_signed(folder: Path, host: str = "127.0.0.1") -> Path:
    """Writes a self-signed certificate for an address or a name, with its key, and returns the file's path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "certificate.pem"
    file.write_bytes(private + certificate.public_bytes(pem))
    return file


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
