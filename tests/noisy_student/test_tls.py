"""The client and TLS: a real server with a self-signed certificate, which may require one from the client."""

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from noisy_student import ApiError, Client, Unreachable
from tests.at_once import join


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, *_: object) -> None:
        """Discards the access log."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "noisy-student test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture(params=[False, True], ids=["server's certificate", "and the client's"])
def asks(request: pytest.FixtureRequest) -> bool:
    """Whether the server requires a client certificate."""
    return bool(request.param)


@pytest.fixture
def address(certificate: tuple[Path, Path], asks: bool) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate[0])
    server = HTTPServer(("127.0.0.1", 0), _Health)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    join(thread)


def test_a_server_that_nobody_vouches_for_is_not_spoken_to(address: str) -> None:
    with Client(address, retries=0) as client, pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        client.service.health()


def test_the_files_are_given_or_taken_from_the_environment(
    address: str, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, key = certificate
    with Client(address, ca_file=file, client_certificate=file, client_key=key) as client:
        assert client.service.health().status == "ok"
    monkeypatch.setenv("NOISY_STUDENT_API_CA_FILE", str(file))
    monkeypatch.setenv("NOISY_STUDENT_API_CLIENT_CERTIFICATE", str(file))
    monkeypatch.setenv("NOISY_STUDENT_API_CLIENT_KEY", str(key))
    with Client(address) as client:
        assert client.service.health().status == "ok"


def test_a_file_that_is_no_certificate_is_named(address: str, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing of the kind")
    for file in (tmp_path / "no.pem", tmp_path / "absent.pem"):
        with pytest.raises(ApiError, match=str(file)):
            Client(address, ca_file=file)
